"""The rows of the 1997 paper, with its exact algorithm: online, truncated gradient, no forget gate.

The bands of this file are those of before the first full run.
"""

from __future__ import annotations

from minilstm.classic import configurations, experiments
from minilstm.classic.row import Band, Record, Row, nearly_all_solved, never_more_wrong_than, time_to_success

SOURCE = "Hochreiter and Schmidhuber 1997"
LAGS = {50: 30_000, 100: 31_000, 200: 33_000}


def weight_counts(seed: int) -> Record:
    """How many of the counts are the published ones."""
    counts = [*configurations.WEIGHT_COUNTS, *configurations.RECURRENT_COUNTS]
    equal = sum(ours == published for _, ours, published in counts)
    return {"value": equal, "solved": equal == len(counts)}


ROWS = (
    Row(
        name="weight-counts",
        claim="The 12 networks of the paper, and 3 that they are compared with, have so many weights.",
        source=f"{SOURCE}, tables 2 and 10",
        published="264, 276, 10504, 364, 664, 1264, 3064, 6064, 102, 93, 156, 308; 36, 144, 10404",
        run=weight_counts,
        measured="counts that are equal, of 15",
        bands=(Band("all 15 equal", "they are exact", lambda found: found[None]["mean"] == 15),),
        trials=1,
    ),
    Row(
        name="reber",
        claim="3 blocks of 2 cells learn the embedded Reber grammar.",
        source=f"{SOURCE}, table 1",
        published="rate 0.1: 100 %, 21,730; 0.2: 97 %, 14,060; 0.5: 100 %, 8,440 (3,800 to 24,100)",
        run=experiments.reber,
        measured="training sequences until success",
        bands=(nearly_all_solved(0.07), time_to_success(experiments.PUBLISHED_REBER)),
        trials=30,
        settings={"rate": tuple(experiments.PUBLISHED_REBER), "blocks": 3, "size": 2},
    ),
    Row(
        name="long-lag",
        claim="Two cells bridge 50, 100 and 200 steps of distractors, hardly slower for the longer ones.",
        source=f"{SOURCE}, table 3 (task 2c, q = p)",
        published="q = 50: 30,000; 100: 31,000; 200: 33,000",
        run=experiments.long_lag,
        measured="training sequences until success",
        bands=(
            nearly_all_solved(),
            time_to_success(LAGS),
            Band(
                "q = 200 takes at most 1.3 times as many sequences as q = 50",
                "published 1.1; with ten trials each, the ratio of two means is uncertain by about 0.15",
                lambda found: bool(
                    found[50]["mean"] and found[200]["mean"] and found[200]["mean"] <= 1.3 * found[50]["mean"]
                ),
            ),
        ),
        trials=10,
        settings={"lag": tuple(LAGS), "rate": 0.01},
    ),
    Row(
        name="adding-1997",
        claim="93 weights learn to add two marked numbers among 100 to 110.",
        source=f"{SOURCE}, table 7",
        published="74,000; 1 of 2,560 wrong, never more than 3",
        run=experiments.adding,
        measured="training sequences until success",
        bands=(nearly_all_solved(), time_to_success({None: 74_000}), never_more_wrong_than(3)),
        trials=10,
        quick_trials=2,
        settings={"length": 100, "blocks": 2, "size": 2, "rate": 0.5},
    ),
    Row(
        name="temporal-order-1997",
        claim="156 weights tell the order of two symbols at a distance of 30 to 50, and keep it for 40 more.",
        source=f"{SOURCE}, table 9 (task 6a)",
        published="31,390; 1 of 2,560 wrong, never more than 3",
        run=experiments.temporal_order,
        measured="training sequences until success",
        bands=(nearly_all_solved(), time_to_success({None: 31_390}), never_more_wrong_than(3)),
        trials=20,
        quick_trials=3,
        settings={"length": 100, "blocks": 2, "size": 2, "rate": 0.5},
    ),
)
