"""The records of CSV, cut out of the bytes, are those of the library's reader, whatever is long in them."""

import csv
import io
import random

import pytest

from minilstm.datasets import records

PARTS = [
    '"',
    '""',
    ",",
    ";",
    "\n",
    "\r",
    "\r\n",
    "a",
    "bc",
    "é",
    "日",
    "😀",
    " ",
    "",
    "longer text here",
    "\0",
]


def _library(data):
    """The records and lines of the csv module, and at last its error, if it has one."""
    lines = io.StringIO(data.decode("utf-8-sig"), newline="")
    first = records.QUOTED.sub(b"", lines.readline().encode())
    lines.seek(0)
    delimiter = max(records.DELIMITERS, key=first.count).decode()
    return _listed(
        (row, reader.line_num)
        for reader in [csv.reader(lines, delimiter=delimiter, strict=True)]
        for row in reader
    )


def _listed(found):
    listed = []
    try:
        for record in found:
            listed.append(record)
    except (csv.Error, ValueError) as error:
        listed.append(str(error).removeprefix("is not valid CSV: ").partition(", in the row that begins")[0])
    return listed


@pytest.mark.parametrize("limit", [1, 5, 131_072])
@pytest.mark.parametrize("line", [1, 8, 2**20])
def test_records_are_the_librarys(monkeypatch, line, limit):
    rng = random.Random(0)
    monkeypatch.setattr(records, "LINE", line)
    for _ in range(1000):
        mark = b"\xef\xbb\xbf" if rng.random() < 0.2 else b""
        data = mark + "".join(rng.choices(PARTS, k=rng.randrange(1, 30))).encode()
        expected = _library(data)
        usual = csv.field_size_limit(limit)
        try:
            assert _listed(records.records(data)) == expected, data
        finally:
            csv.field_size_limit(usual)
