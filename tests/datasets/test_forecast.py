"""Windows of series: what a model may know of a target, and what rules without learning reach."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from minilstm import length_study
from minilstm.commands import cli
from minilstm.datasets import from_series, read_series
from minilstm.study.figures import study_figures
from minilstm.study.report import to_html

RNG = np.random.default_rng(0)
SPLITS = ("train", "validation", "test")
NOISE = RNG.normal(size=400)


@pytest.mark.parametrize(("steps", "horizon"), [(1, 1), (5, 1), (7, 4)])
def test_no_part_knows_a_target_of_another_and_no_window_its_own(steps, horizon):
    """The series is its own clock: a value tells its place."""
    clock = np.arange(200.0)
    data = from_series(clock, steps=steps, horizon=horizon)
    targets = []
    for part in (data.train, data.validation, data.test):
        y = part.y[:, 0].astype(float)
        slope = (y[1] - y[0]) / 1.0
        targets.append(y / slope)  # in steps, from an unknown origin
        gaps = [x[-1, 0] - x[0, 0] for x in part.x]
        assert len({len(x) for x in part.x}) == 1
        assert np.allclose(
            np.diff([x[-1, 0] for x in part.x]), np.diff([x[-1, 0] for x in part.x])[0], rtol=1e-3
        )
        assert np.ptp(gaps) < 1e-3
    for before, after in pairwise(targets):
        np.testing.assert_allclose(after[0] - before[-1], horizon, rtol=1e-3)  # horizon - 1 are left out
    count = 200 - steps - horizon + 1
    assert sum(map(len, targets)) == count - 2 * (horizon - 1)
    # on one scale, the target lies `horizon` steps after the window's last step
    known = data.train.x[0].shape
    assert known == (steps, 1)
    train_y, train_last = data.train.y[:, 0], np.array([x[-1, 0] for x in data.train.x])
    n = len(train_y)
    np.testing.assert_allclose(train_y.std(), 1, rtol=1e-5)
    np.testing.assert_allclose(train_last.std(), 1, rtol=1e-5)
    np.testing.assert_allclose(train_y, train_last, atol=1e-4)  # both are 0 .. n - 1, standardised
    assert n == int(0.7 * count)


def test_the_baselines_are_those_computed_by_hand():
    t = np.arange(600)
    series = np.sin(2 * np.pi * t / 24) + 0.1 * RNG.normal(size=600)
    steps, horizon = 30, 2
    data = from_series(series, steps=steps, horizon=horizon)
    targets = np.arange(steps - 1 + horizon, 600)
    n = len(targets)
    a, b = int(0.7 * n), round(0.8 * n)
    train, validation, test = targets[:a], targets[a + horizon - 1 : b], targets[b + horizon - 1 :]
    scale = series[train].std()
    for rule, lag in zip(data.baselines, (horizon, 24), strict=True):
        for part, found in ((validation, rule.validation), (test, rule.test)):
            expected = np.mean(((series[part] - series[part - lag]) / scale) ** 2)
            np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert [rule.name for rule in data.baselines] == ["the last value", "the value 24 steps before"]
    np.testing.assert_allclose(
        data.test.y[:, 0], (series[test] - series[train].mean()) / scale, rtol=1e-4, atol=1e-5
    )


def test_the_season_is_found_in_the_training_part_alone():
    """A season that begins after the training part is not known."""
    series = NOISE.copy()
    series[300:] += 5 * np.sin(2 * np.pi * np.arange(100) / 10)
    changed = from_series(series, steps=5).baselines[1].name
    assert changed == from_series(NOISE, steps=5).baselines[1].name


def test_several_series_have_their_windows_each_and_are_split_each_in_time_or_whole():
    series = [np.c_[np.full(n, k), RNG.normal(size=n)] for k, n in enumerate((40, 50, 60, 45, 55))]
    data = from_series(series, steps=4, horizon=2, target=1)
    assert sum(len(getattr(data, s).x) for s in SPLITS) == sum(n - 5 - 2 for n in (40, 50, 60, 45, 55))
    for part in (data.train, data.validation, data.test):
        owners = {float(x[0, 0]) for x in part.x}
        assert len(owners) == 5
        assert all(np.ptp(x[:, 0]) == 0 for x in part.x)  # no window reaches from one series into the next
    whole = from_series(series, steps=4, target=1, split="group")
    owners = [{float(x[0, 0]) for x in part.x} for part in (whole.train, whole.validation, whole.test)]
    assert not owners[0] & owners[1]
    assert not owners[2] & (owners[0] | owners[1])
    assert "split by whole series from seed 0" in whole.description
    assert "so the test is too good" in from_series(NOISE, steps=4, split="random").description


@pytest.mark.parametrize(
    ("series", "options", "error", "text"),
    [
        (NOISE, {"steps": 0}, ValueError, "steps must be a whole number >= 1, got 0"),
        (NOISE, {"horizon": 0}, ValueError, "horizon must be a whole number >= 1, got 0"),
        (NOISE, {"target": 1}, ValueError, "target must be a column from 0 to 0, got 1"),
        (NOISE, {"split": "late"}, ValueError, "split must be 'random' or 'group' or 'time', got 'late'"),
        (
            NOISE[:5],
            {},
            ValueError,
            "series must be at least 6 steps long, for one window and its target, got 5",
        ),
        (NOISE[:9], {}, ValueError, "series must be long enough for 10 windows, got 4"),
        (NOISE[:20], {"horizon": 5}, ValueError, "series must be long enough for three parts in time"),
        (["a"], {}, TypeError, "series must be numbers of shape"),
        (
            [NOISE, np.ones((30, 2))],
            {},
            ValueError,
            "series must be of 1 columns, as the first, got 2 in series 1",
        ),
        ([NOISE, np.r_[1, np.nan, NOISE]], {}, ValueError, "NaN or Inf in series 1, step 1"),
        (np.ones(99), {}, ValueError, "with a target that changes in the training part, got 1 alone"),
        ([NOISE, NOISE], {"split": "group"}, ValueError, "the samples belong to 2 groups"),
    ],
)
def test_series_that_cannot_be_meant(series, options, error, text):
    with pytest.raises(error, match=text):
        from_series(series, **{"steps": 5} | options)


def write(path):
    rows = [f"{k},{value:.4f},{value + 1:.4f},fine" for k, value in enumerate(NOISE)]
    (path / "power.csv").write_text("\n".join(["time,load,heat,note", *reversed(rows)]) + "\n")
    return path / "power.csv"


def test_a_file_of_series_is_put_in_order_and_the_target_comes_first(tmp_path):
    path = write(tmp_path)
    with pytest.raises(ValueError, match=r"power.csv: column 'time' does not ascend"):
        read_series(path, target="heat")
    found = read_series(path, target="heat", order="time")
    assert found.columns == ["heat", "load"]
    np.testing.assert_allclose(found.series[0], np.c_[NOISE + 1, NOISE], atol=1e-4)
    assert "steps ordered by 'time'" in found.reading
    assert "not used: 'note'" in found.reading
    assert read_series(path, target="heat", order="time", features=["heat"]).series[0].shape == (400, 1)
    with pytest.raises(ValueError, match=r"has no column 'cold' for --target"):
        read_series(path, target="cold")
    (tmp_path / "a.npz").write_bytes(b"x")
    with pytest.raises(
        ValueError,
        match=r"data must be a .csv, .tsv, .parquet, .feather or .arff file for forecasting, got a.npz",
    ):
        read_series(tmp_path / "a.npz", target="x")


def test_nothing_is_recommended_where_nothing_beats_the_better_baseline():
    """Of a random walk the last value is the best forecast that there is."""
    walk = np.cumsum(NOISE)
    data = from_series(walk, steps=6)
    result = length_study(data, lengths=[3, 6], seeds=1, epochs=1, units=2)
    assert [row["baseline"] for row in result.rows] == [data.baselines[0].test] * 2
    assert result.recommend() is None
    assert "No length is recommended: none beats the " in result.conclusion
    assert "of the last value" in result.conclusion
    page = to_html(result, result.settings, [])
    assert "The baseline, the last value, reaches" in page
    assert "nswering the mean" not in page.partition("Words")[0]
    caption = next(study_figures(result.summary, result.cells, result.settings)).caption
    assert "the dashed line is what the last value reaches" in caption
    assert result.settings.truncating == ("pre",)
    assert result.settings.mask == (False,)
    with pytest.raises(ValueError, match="mask must be left out for forecasting"):
        length_study(data, lengths=[3], mask=True)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--problem forecasting", "target must be given with --problem forecasting, got none"),
        ("--target load", "target must be given with --problem forecasting, got 'load'"),
        ("--problem forecasting --target load --label note", "label must be left out for forecasting"),
        (
            "--problem forecasting --target load --lengths q90",
            "lengths must be whole numbers >= 1 for forecasting",
        ),
        ("--problem forecasting --target load --horizon 0", "horizon must be a whole number >= 1, got 0"),
    ],
)
def test_requests_that_cannot_be_meant_are_one_line(tmp_path, capsys, words, text):
    assert cli.main(["study", "--data", str(write(tmp_path)), *words.split()]) == 2
    assert text in capsys.readouterr().err


def test_a_dry_run_says_how_the_parts_were_made_and_what_is_to_be_beaten(tmp_path, capsys):
    options = "--problem forecasting --target load --horizon 3 --order time --lengths 2,4 --dry-run --jobs 1"
    assert cli.main(["study", "--data", str(write(tmp_path)), *options.split()]) == 0
    out = capsys.readouterr().out
    assert "forecasting 'load' 3 steps ahead, split by time: the latest are tested" in out
    assert "baselines: the last value (test MSE " in out
    assert "note      the validation part is too small to choose by: with " in out
