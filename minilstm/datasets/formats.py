"""What a data file may look like: every layout that is read, with a sample of a few lines."""

from __future__ import annotations

from typing import NamedTuple

from minilstm.foundations.tables import wrapped

__all__ = ["FORMATS", "formats"]


class Format(NamedTuple):
    """One layout: what it is, a name for a file of it, the options it takes, and its first lines."""

    what: str
    name: str
    options: str
    sample: str


FORMATS = (
    Format(
        "a text and a label in each row",
        "reviews.csv",
        "",
        'text,label\n"a fine film",good\n"dull, and long",bad\n"not bad at all",good\n',
    ),
    Format(
        "a sequence of numbers in each row, one column a step",
        "beats.csv",
        "",
        "t0,t1,t2,label\n0.1,0.9,0.2,0\n0.3,0.8,,1\n0.2,0.7,0.1,0\n",
    ),
    Format(
        "a step in each row, with a column that says which sequence it belongs to",
        "walks.csv",
        "--group person",
        "person,time,east,north,label\nann,0,0.1,0.2,slow\nann,1,0.3,0.1,slow\nbob,0,0.9,0.8,fast\n",
    ),
    Format(
        "a step in each row, of one series or several, to be forecast",
        "power.csv",
        "--problem forecasting --target load --horizon 24",
        "time,load,heat\n2024-01-01T00:00,10.5,3\n2024-01-01T01:00,11.0,4\n2024-01-01T02:00,12.5,3\n",
    ),
    Format(
        "an object in each line, with a label and a text, or a list of numbers, or of lists of numbers",
        "walks.jsonl",
        "",
        '{"x": [[0.1, 0.2], [0.3, 0.1]], "label": "slow"}\n{"x": [[0.9, 0.8]], "label": "fast"}\n'
        '{"x": [[0.2, 0.2], [0.1, 0.4]], "label": "slow"}\n{"x": [[0.7, 0.9]], "label": "fast"}\n',
    ),
    Format(
        "a sequence in each line, its features separated by colons, and its label (UCR and UEA archives)",
        "walks.ts",
        "",
        "@classLabel true slow fast\n@data\n0.1,0.3:0.2,0.1:slow\n0.9:0.8:fast\n",
    ),
)
ARRAYS = """\
walks.npz: arrays, as numpy.savez(file, x=x, y=y, lengths=lengths) writes them
  x        (N, T) or (N, T, D), rows padded at one end; or (sum of lengths, D), one after another
  y        (N,) labels or numbers
  lengths  (N,) whole numbers; or mask (N, T), 1 at real steps; left out where no row is padded
  An array of Python objects (a ragged list) is not read: pad it, or put one after another, and give lengths.
"""
TYPED = """\
reviews.parquet, .feather, .arff: as a .csv; or, where a column holds lists, as a .jsonl
  pip install 'minilstm[parquet]' (pyarrow) or 'minilstm[arff]' (SciPy) reads them
"""
ENDS = """\
Files are UTF-8. A .csv may have commas, semicolons, tabs or | between its columns, and may be called .tsv; \
all may be compressed, as .csv.gz. Columns are found by their usual names, or named by --text, --label, \
--features, --group, --order and --by; --drop leaves some alone, and --decimal comma reads 1.234,5."""


def formats() -> str:
    """The text of `minilstm study --formats`.

    >>> print(formats().splitlines()[0])
    reviews.csv: a text and a label in each row
    """
    found = []
    for one in FORMATS:
        command = " ".join(filter(None, ["minilstm study --data", one.name, one.options]))
        lines = [f"{one.name}: {one.what}", *(f"  {line}" for line in one.sample.splitlines())]
        found.append("\n".join([*lines, f"  -> {command}", ""]))
    return wrapped("\n".join([*found, ARRAYS, TYPED, ENDS]), 80)
