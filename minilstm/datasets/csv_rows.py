"""The rows of a .csv, each with its line: which have too many or too few fields, and what their names are."""

from __future__ import annotations

from minilstm.datasets.bad_rows import BadRows
from minilstm.datasets.columns import LONGEST, not_utf8, some
from minilstm.datasets.records import records
from minilstm.datasets.times import counted


def rows_of(
    data: bytes, wide: bool, bad: BadRows | None = None
) -> tuple[list[str], list[list[str]], list[str], str]:
    """Names of the columns, rows, the line of each, and a remark; never a second copy of the whole text.

    Lines with too many or too few fields go to `bad`; without it they are refused. `wide`: the last may lack.
    """
    rows: list[list[str]] = []
    places = []
    spans, longest = 0, (1, 0)  # rows over several lines; lines, and the last, of the one with most
    try:
        found = records(data)
        head, before = next(found, ([], 0))
        columns = _named([column.strip() for column in head])
        if any("\0" in column for column in columns):
            raise ValueError("has bytes of 0 in its first line, as UTF-16 has; save it as UTF-8 first")
        if len(set(columns)) < len(columns):
            raise ValueError(f"column names must differ from each other, got {some(columns)}")
        for row, line in found:
            spans, longest = spans + (line - before > 1), max(longest, (line - before, line))
            before = line
            if not row:
                continue
            if len(columns) < len(head) and not any(map(str.strip, row[len(columns) : len(head)])):
                row = row[: len(columns)] + row[len(head) :]
            wrong = ""
            if len(row) == len(columns) and all(map(_is_name, row, columns)):  # files that were joined
                wrong = f"line {line} repeats the header"
            elif len(row) > len(columns) or (len(row) < len(columns) and not wide):
                wrong = f"line {line} has {len(row)} fields, the header has {len(columns)}"
                if len(columns) == 1 or not (rows or (bad and bad.errors)):
                    wrong += ": the first line must name each column"
            if not wrong:
                rows.append(row + [""] * (len(columns) - len(row)))
                places.append(f"line {line}")
            elif bad is None:
                raise ValueError(wrong)
            else:
                bad.add(-line, wrong)
    except UnicodeDecodeError:
        raise not_utf8(data) from None
    if not rows:
        if bad is not None:
            bad.settle("rows")
        raise ValueError("has a header and no rows")
    lines, last = longest
    remark = (
        f", {counted(spans, 'row')} over several lines (at most {lines}: line {last - lines + 1} to {last})"
    )
    return columns, rows, places, remark if spans else ""


def _named(columns: list[str]) -> list[str]:
    """Without the last ones where several have no name: Excel writes them where cells were formatted.

    >>> _named(["a", "", "b", ""]), _named(["a", ""])
    (['a', '', 'b'], ['a', ''])
    """
    if columns.count("") < 2:
        return columns
    return columns[: max((k + 1 for k, column in enumerate(columns) if column), default=1)]


def _is_name(value: str, column: str) -> bool:
    return len(value) <= max(LONGEST, len(column)) and value.strip() == column
