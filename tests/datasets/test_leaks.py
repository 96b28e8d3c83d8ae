"""What gives the label away is told: one column alone, the order of rows, and what the split keeps apart."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier

from minilstm import length_study
from minilstm.datasets import from_sequences, read_file
from minilstm.datasets.leaks import Alone, best_alone, order_tells
from minilstm.datasets.splits import parts_by_group, parts_by_time

RNG = np.random.default_rng(0)
N = 300
NOISE = RNG.normal(size=(N, 5))
LABEL = RNG.integers(0, 3, N)


def halves(x, y, classes=3, names=None):
    series = [np.asarray(row, float).reshape(len(row), -1) for row in x]
    return best_alone((series[:200], y[:200]), (series[200:], y[200:]), classes, names)


def test_a_column_that_holds_the_label_is_found_and_named():
    leak = np.c_[NOISE[:, :2], LABEL * 10.0, NOISE[:, 2:]]
    found = halves(leak, LABEL, names=list("abcdef"))
    commonest = np.mean(LABEL[200:] == np.bincount(LABEL[:200]).argmax())
    assert found == Alone("column 'c'", 1.0, commonest)
    assert halves(leak, LABEL).column == "step 2"
    longer = [row[: 4 + k % 3] for k, row in enumerate(leak)]
    assert halves(longer, LABEL, names=list("abcdef")).column == "column 'c'"
    several = np.stack([leak[:, :3], leak[:, 3:]], axis=1)  # (N, 2 steps, 3 features); the first step tells
    assert halves(several, LABEL, names=list("uvw")).column == "column 'w'"
    tied = [row[: 2 + k] for row, k in zip(NOISE, LABEL, strict=True)]
    assert halves(tied, LABEL).column == "the length"


def test_a_threshold_is_found_as_a_tree_finds_it():
    """scikit-learn's tree with one split is the best that a column can do here."""
    values = RNG.normal(size=(N, 1))
    y = (values[:, 0] + 0.5 * RNG.normal(size=N) > 0.3).astype(int)
    tree = DecisionTreeClassifier(max_depth=1).fit(values[:200], y[:200])
    assert abs(halves(values, y, 2).metric - tree.score(values[200:], y[200:])) < 0.05


def test_a_regression_is_measured_by_its_squared_error():
    found = halves(NOISE, 2 * NOISE[:, 3] + 1, None)
    assert found.column == "step 3"
    y = 2 * NOISE[:, 3] + 1
    assert found.baseline == pytest.approx(np.mean((y[200:] - y[:200].mean()) ** 2))
    assert found.metric < 0.1 * found.baseline


@pytest.mark.parametrize(
    ("alone", "reached", "classification", "warned"),
    [
        (Alone("step 1", 0.98, 0.5), None, True, True),
        (Alone("step 1", 0.9, 0.5), None, True, False),
        (Alone("step 1", 0.9, 0.5), 0.93, True, True),
        (Alone("step 1", 0.9, 0.5), 0.98, True, False),
        (Alone("step 1", 0.55, 0.5), 0.52, True, False),
        (Alone("step 1", 0.08, 1.0), None, False, True),
        (Alone("step 1", 0.3, 1.0), 0.25, False, True),
        (Alone("step 1", 0.3, 1.0), 0.05, False, False),
    ],
)
def test_it_is_told_from_nine_tenths_of_the_gain_on(alone, reached, classification, warned):
    text = alone.warning(reached, classification)
    assert bool(text) == warned
    assert not warned or text.startswith("Step 1 alone reaches a test ")


def test_too_few_samples_say_nothing():
    y = np.array([0, 1] * 10)
    few = [np.array([[float(label)]]) for label in y]
    assert best_alone((few, y), (few[:19], y[:19]), 2, None) is None
    assert order_tells((np.arange(20.0), np.arange(19.0)), (y, y[:19]), 2) is None


def test_an_order_of_rows_that_predicts_the_label_is_told():
    by_class = sorted(range(N), key=lambda k: LABEL[k])
    told = from_sequences(list(NOISE[by_class]), LABEL[by_class].tolist()).remarks
    assert len(told) == 1
    assert told[0].startswith("The order of the rows alone predicts the label (accuracy 0.9")
    assert from_sequences(list(NOISE), LABEL.tolist()).remarks == ()
    rising = from_sequences(list(NOISE), [k / 7 for k in range(N)]).remarks
    assert "(MSE 0.00" in rising[0]


# ---- the parts ----


def test_no_group_stands_in_two_parts():
    groups = [f"speaker {k % 23}" for k in range(N)]
    parts = parts_by_group(groups, (210, 30), seed=0)
    names = [{groups[k] for k in part} for part in parts]
    assert not names[0] & names[1]
    assert not names[2] & (names[0] | names[1])
    assert sorted(np.concatenate(parts).tolist()) == list(range(N))
    sizes = [len(part) for part in parts]
    assert np.abs(np.array(sizes) - (210, 30, 60)).max() <= 14  # the size of a group
    other = parts_by_group(groups, (210, 30), seed=1)
    assert {groups[k] for k in other[2]} != names[2]
    with pytest.raises(ValueError, match="the samples belong to 2 groups, too few for three parts"):
        parts_by_group(["a", "b"] * 10, (14, 2), seed=0)


def test_the_latest_are_tested_and_equal_times_stay_together():
    times = RNG.integers(0, 40, N).astype(float)
    train, validation, test = (times[part] for part in parts_by_time(times, (210, 30)))
    assert train.max() < validation.min()
    assert validation.max() < test.min()


def test_the_split_is_told_and_taken_from_the_seed(tmp_path):
    rows = [
        f"{a:.3f},{b:.3f},s{k % 9},{k},{y}"
        for k, ((a, b, *_), y) in enumerate(zip(NOISE, LABEL, strict=True))
    ]
    (tmp_path / "a.csv").write_text("\n".join(["a,b,who,day,label", *rows]) + "\n")
    for split, by, words in [
        ("random", None, "split at random from seed 3, each class's share in every part"),
        ("group", "who", "split by groups from seed 3: none stands in two parts"),
        ("time", "day", "split by time (their times): the latest are tested"),
        ("time", None, "split by time (the order of x): the latest are tested"),
    ]:
        table = read_file(tmp_path / "a.csv", by=by, features=["a", "b"])
        data = from_sequences(table.x, table.y, split=split, by=table.by, seed=3)
        assert data.description.endswith(f"{words}.")
        assert data.features == 1
    x, y = list(NOISE), LABEL.tolist()
    assert from_sequences(x, y, seed=1).checksum != from_sequences(x, y, seed=2).checksum
    late = from_sequences(x, [k / 7 for k in range(N)], split="time")
    assert late.test.y.min() > late.validation.y.max() > late.train.y.max()
    with pytest.raises(ValueError, match="by must be given with the split 'group', got None"):
        from_sequences(x, y, split="group")
    with pytest.raises(ValueError, match="by must be left out with the split 'random', got list"):
        from_sequences(x, y, by=y)


def test_the_study_warns_of_the_leak():
    """Noise, sorted labels, and a column that counts: a model finds the count, and the study says so."""
    y = np.sort(LABEL % 2)
    x = [np.append(row, k / N) for k, row in enumerate(NOISE)]
    result = length_study(x, y.tolist(), lengths=[6], seeds=1, epochs=1, units=2, mask=True)
    assert "Step 5 alone reaches a test accuracy of " in result.conclusion
    assert "The order of the rows alone predicts the label" in result.conclusion
