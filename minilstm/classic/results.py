"""All rows, and `reproduce`, which runs one of them."""

from __future__ import annotations

from typing import Any

from minilstm.classic import h_detach, paper, strings, theory, training, vowels
from minilstm.classic.row import Row, chosen
from minilstm.foundations.errors import whole_number

ROWS: tuple[Row, ...] = (
    *theory.ROWS,
    *paper.ROWS,
    *training.ROWS,
    *h_detach.ROWS,
    *strings.ROWS,
    *vowels.ROWS,
)


def reproduce(name: str, trials: int | None = None, seed: int = 0, **settings: Any) -> dict[str, Any]:
    """Run a published result here and compare: the row as a dict.

    name : of a row, as `minilstm reproduce --list` shows them
    trials : of each condition; the published number if None. Their seeds are `seed`, `seed` + 1, ...
    settings : sizes in place of the published ones (`length`, `blocks`, `rate`, ...), each row has its own;
        where a row compares several values of one setting, one value or a tuple of them

    Of the first condition: `solved` (trials that succeeded), of these `mean`, `range` [smallest, largest] and
    `interval` (95 %, of the mean) of what `measured` says, `wrong` [mean, largest] of 2,560 fresh sequences
    (None where the row tests no sequences). `conditions`: the same and every record, by the value of the
    setting that is compared. `seconds` of all trials. `verdict` "reproduced", "partly" or "not", by the
    `bands`; None for other settings than the published ones. Runs in this process; nothing is written.

    Raises ValueError or TypeError (a row, setting or value that there is not), before any work;
    ModuleNotFoundError where the row's data package is not installed.

    >>> row = reproduce("weight-counts")
    >>> row["verdict"], row["mean"]
    ('reproduced', 15.0)
    """
    row = chosen(ROWS, name)
    count = row.trials if trials is None else whole_number("trials", trials)
    seed = whole_number("seed", seed, 0, wide=True)
    full = row.with_settings(settings)
    records = {
        condition: [row.trial(seed + k, one) for k in range(count)]
        for condition, one in row.conditions(full).items()
    }
    return row.result(records, full, count)
