"""The 12 networks of the 1997 paper's table 10, and those it is compared with in task 2a, by their weights.

Connectivity "F": outputs see cells; cells and gates see inputs, cells and gates. Connectivity "B", of task 2a
alone: each layer sees all layers below it.
"""

from __future__ import annotations

from minilstm.classic.network import Shape

EMBEDDED_REBER = Shape(inputs=7, blocks=3, size=2, outputs=7, bias="gates")
ADDING = Shape(inputs=2, blocks=2, size=2, outputs=1)
TEMPORAL_ORDER = Shape(inputs=8, blocks=2, size=2, outputs=4)


def long_lag(distractors: int) -> Shape:
    """The network of task 2c: symbols are the distractors and e, b, x, y."""
    return Shape(inputs=distractors + 4, blocks=2, size=1, outputs=2, bias="none")


def layered_count(symbols: int) -> int:
    """Weights of task 2a's network: symbols to outputs, cell and input gate; the cell to the outputs.

    >>> layered_count(101)
    10504
    """
    return symbols * symbols + 2 * symbols + symbols


def recurrent_count(symbols: int) -> int:
    """Weights of task 2a's RTRL and BPTT network: as above with a self-recurrent unit for cell and gate.

    >>> recurrent_count(101)
    10404
    """
    return symbols * symbols + symbols + symbols + 1


# Table 10: the task, the weights it has here, the published number. 2a's distractors p give p + 1 symbols.
WEIGHT_COUNTS = (
    ("1, 4 blocks of 1", Shape(inputs=7, blocks=4, size=1, outputs=7, bias="gates").count, 264),
    ("1, 3 blocks of 2", EMBEDDED_REBER.count, 276),
    ("2a and 2b", layered_count(101), 10504),
    *(
        (f"2c, p = {p}", long_lag(p).count, published)
        for p, published in ((50, 364), (100, 664), (200, 1264), (500, 3064), (1000, 6064))
    ),
    ("3a to 3c", Shape(inputs=1, blocks=3, size=1, outputs=1, bias="hidden").count, 102),
    ("4 and 5", ADDING.count, 93),
    ("6a", TEMPORAL_ORDER.count, 156),
    ("6b", Shape(inputs=8, blocks=3, size=2, outputs=8).count, 308),
)
# Table 2: RTRL and BPTT with p = 4, 10, 100.
RECURRENT_COUNTS = tuple(
    (f"2a, p = {p}", recurrent_count(p + 1), n) for p, n in ((4, 36), (10, 144), (100, 10404))
)
