"""The records of a CSV file, one field of which may be nearly all of the file.

The library's reader holds four bytes for each letter of a field, and the line beside it. A record that has
a field beyond its limit, or a line beyond `LINE`, is therefore cut out of the bytes here, by the same rules.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from itertools import islice

BOM = b"\xef\xbb\xbf"
LINE = 2**20  # bytes; longer ones are cut here
HEAD = 2**20  # bytes of the first line that tell the delimiter
END = re.compile(rb"\r\n|\r|\n")
QUOTES = re.compile(rb'"+')
QUOTED = re.compile(rb'"[^"]*"')
SEPARATOR = re.compile(rb'"?sep=[,;\t|]"?')
DELIMITERS = (b",", b";", b"\t", b"|")


def records(data: bytes) -> Iterator[tuple[list[str], int]]:
    """The fields of each record, and the line on which it ends; ValueError, UnicodeDecodeError.

    The delimiter is the one that stands most often in the first line, outside of quotes.

    >>> list(records(b'a;b\\n1;"x\\ny"\\n'))
    [(['a', 'b'], 1), (['1', 'x\\ny'], 3)]
    """
    at, line = len(BOM) if data.startswith(BOM) else 0, 0
    first = END.search(data, at)
    if first and SEPARATOR.fullmatch(data, at, first.start()):  # what Excel reads, and writes nowhere else
        at, line, first = first.end(), 1, END.search(data, first.end())
    head = QUOTED.sub(b"", data[at : min(at + HEAD, first.start() if first else len(data))])
    delimiter = max(DELIMITERS, key=head.count)
    while at < len(data):
        reader = csv.reader(_lines(data, at), delimiter=delimiter.decode(), strict=True)
        read = 0  # lines
        try:
            for row in reader:
                read = reader.line_num
                yield row, line + read
            return
        except _LongLineError:
            pass
        except csv.Error as error:
            if "larger than field limit" not in str(error):
                raise _invalid(str(error), line + read) from None
        if read:
            at = next(islice(END.finditer(data, at), read - 1, None)).end()
        row, end = _long_record(data, at, delimiter, line + read)
        lone = data.count(b"\r", at, end) - data.count(b"\r\n", at, end)
        line += read + data.count(b"\n", at, end) + lone + (data[end - 1 : end] not in (b"\r", b"\n"))
        yield row, line
        at = end


class _LongLineError(Exception):
    """The next line is longer than `LINE`."""


def _lines(data: bytes, at: int) -> Iterator[str]:
    while at < len(data):
        end = len(data) if len(data) - at <= LINE else data.rfind(b"\n", at, at + LINE) + 1
        if not end:
            raise _LongLineError
        yield from io.StringIO(data[at:end].decode(), newline="")
        at = end


def _invalid(what: str, before: int) -> ValueError:
    """The error for a record that begins behind so many lines."""
    return ValueError(f"is not valid CSV: {what}, in the row that begins in line {before + 1}")


def _long_record(data: bytes, at: int, delimiter: bytes, before: int) -> tuple[list[str], int]:
    """The fields of the record that begins at this byte, behind so many lines, and the byte behind it."""
    stop = re.compile(rb"[%b\r\n]|\Z" % re.escape(delimiter))
    view: memoryview[int] = memoryview(data)
    fields: list[str] = []
    if empty := END.match(data, at):
        return fields, empty.end()
    while True:
        if data.startswith(b'"', at):  # an odd number of quotes ends the field
            runs = (run.span() for run in QUOTES.finditer(data, at + 1))
            end = next((last - 1 for begin, last in runs if (last - begin) % 2), None)
            if end is None:
                raise _invalid("unexpected end of data", before)
            doubled = data.find(b'""', at + 1, end) >= 0
            field = bytes(view[at + 1 : end]).replace(b'""', b'"') if doubled else view[at + 1 : end]
            at = end + 1
            if at < len(data) and not stop.match(data, at):
                raise _invalid(f"'{delimiter.decode()}' expected after '\"'", before)
        else:
            found = stop.search(data, at)
            assert found is not None  # it matches at the end
            field, at = view[at : found.start()], found.start()
        fields.append(str(field, "utf-8"))
        if not data.startswith(delimiter, at):
            newline = END.match(data, at)
            return fields, newline.end() if newline else at
        at += 1
