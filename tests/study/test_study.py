"""The study: settings, points, the folder, the statistics and the sentence. The command is in test_cli."""

from __future__ import annotations

import csv
import doctest
import io
import json
import math
import os
import subprocess
import sys
import textwrap
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import binomtest, linregress, norm, sem
from scipy.stats import t as student_t

import minilstm as ml
from minilstm import study
from minilstm.plots import base
from minilstm.plots.chart import draw
from minilstm.study import journal, length_study, plan, report, run, statistics, summary, timing, words
from minilstm.study import point as points
from minilstm.study.figures import study_figures
from minilstm.study.journal import Journal
from minilstm.study.plan import Point, Settings
from minilstm.study.result import result_of
from minilstm.study.source import Source

TINY = {"lengths": [3, 5], "seeds": 2, "epochs": 1, "units": 3}


def open_journal(settings, folder=None):
    return Journal(settings, journal.config(settings, Source.of(settings.task, settings.seed)), folder)


def source_of(settings):
    return Source.of(settings.task, settings.seed)


def digits_point(length, mask, seed=0, **more):
    return Point(length, seed, **{"units": 64, "mask": mask, "padding": "post", "truncating": "post"} | more)


def without_times(record):
    return {key: value for key, value in record.items() if key not in points.TIMES}


@pytest.fixture(scope="module")
def tiny():
    return length_study("recall", **TINY)


@pytest.mark.parametrize("module", [study, plan])
def test_doctests(module):
    assert doctest.testmod(module).failed == 0


# ---- settings ----


def test_defaults():
    digits, recall = Settings.of(), Settings.of("recall")
    assert digits.lengths == (5, 10, 20, 40, 92)
    assert (digits.mask, digits.padding, digits.truncating, digits.clipnorm) == (
        (True, False),
        ("post",),
        ("post",),
        (None,),
    )
    assert (recall.mask, recall.padding, recall.clipnorm) == ((False,), (), (1.0,))
    assert (digits.seeds, digits.longest_seeds, digits.seed) == (3, 5, 0)
    assert len(digits.points()) == 2 * 5 * 3 + 2
    counted = Counter((point.length, point.mask) for point in digits.points())
    assert {key for key, count in counted.items() if count == 5} == {(92, False)}
    assert {seed for T, mask, seed in ((p.length, p.mask, p.seed) for p in digits.points()) if T < 92} == {
        0,
        1,
        2,
    }
    assert len(recall.points()) == 4 * recall.seeds


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"task": "mnist"}, ValueError, "task must be 'digits' or 'imdb' or .*, got 'mnist'"),
        ({"lengths": []}, ValueError, "lengths must be at least one whole number, got none"),
        ({"lengths": [5, 0]}, ValueError, "lengths must be a whole number >= 1, got 0"),
        ({"lengths": [5, 5]}, ValueError, "lengths must be different from each other"),
        ({"lengths": [2.5]}, TypeError, "lengths must be a list of whole numbers"),
        ({"lengths": "5"}, TypeError, "lengths must be a list of whole numbers"),
        ({"task": "adding", "lengths": [1]}, ValueError, "lengths must be a whole number >= 2, got 1"),
        ({"seeds": 0}, ValueError, "seeds must be a whole number >= 1, got 0"),
        ({"seeds": (1, 2, 3)}, ValueError, "seeds must be one number, or two"),
        ({"epochs": 0}, ValueError, "epochs must be"),
        ({"units": True}, TypeError, "units must be"),
        ({"batch_size": -1}, ValueError, "batch_size must be"),
        ({"padding": "left"}, ValueError, "padding must be 'pre' or 'post', got 'left'"),
        ({"truncating": "x"}, ValueError, "truncating must be"),
        ({"mask": 1}, TypeError, "mask must be True or False, got 1"),
        ({"clipnorm": 0}, ValueError, "clipnorm must be a finite number > 0"),
        (
            {"rnn": "rnn"},
            ValueError,
            "rnn must be lstm, .*path/to/my_cell.py:name, got 'rnn'",
        ),
        ({"units": [8, 8]}, ValueError, "units must be different from each other"),
        ({"units": []}, ValueError, "units must be at least one value, got none"),
        ({"forget_bias": 2}, ValueError, "forget_bias must be 0 or 1, got 2"),
        ({"lengths": ["q50"]}, ValueError, "lengths must be whole numbers for a generated task, got 'q50'"),
        ({"lengths": ["q101"]}, ValueError, "lengths must be a quantile from q0 to q100"),
        ({"lengths": ["long"]}, ValueError, "lengths must be a list of whole numbers, or quantiles"),
        ({"embedding": 8}, ValueError, "embedding must be left out where the steps are numbers"),
        ({"control": 1}, TypeError, "control must be True or False, got 1"),
        ({"clipnorm": float("nan")}, ValueError, "clipnorm must be a finite number > 0"),
        ({"learning_rate": -1}, ValueError, "learning_rate must be"),
        ({"seed": -1}, ValueError, "seed must be a whole number >= 0"),
        ({"task": "recall", "mask": True}, ValueError, "mask must be left out for recall"),
        ({"task": "adding", "padding": "pre"}, ValueError, "padding must be left out for adding"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(given, error, text):
    with pytest.raises(error, match=text):
        Settings.of(**given)


def test_lengths_are_sorted_and_the_command_says_everything():
    settings = Settings.of("digits", lengths=[20, 5], mask=False, clipnorm=2.0, seed=7, batch_size=16)
    assert settings.lengths == (5, 20)
    assert settings.command() == (
        "minilstm study digits --lengths 5,20 --seeds 3,5 --epochs 20 --rnn lstm --units 64 --padding post "
        "--truncating post --clipnorm 2.0 --forget-bias 1 --batch-size 16 "
        "--learning-rate 0.003 --seed 7 --patience 3 --no-mask"
    )
    assert "--seeds 2 " in Settings.of("digits", seeds=2).command()
    assert Settings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings
    assert json.loads(json.dumps(settings.to_dict())) == settings.to_dict()


def test_all_cells_of_a_seed_start_from_the_same_weights():
    settings = Settings.of("digits", seeds=2)
    data = ml.load_digits()

    def weights(point):
        return points.build_model(settings, point, data).get_weights()

    first = [weights(digits_point(T, mask, units=3)) for T in (5, 9) for mask in (False, True)]
    other = weights(digits_point(5, True, 1, units=3))
    for found in first[1:]:
        assert all(map(np.array_equal, found, first[0]))
    assert not np.array_equal(other[0], first[0][0])
    more = Settings.of("digits", seeds=3)
    assert more.model_seed(digits_point(5, True, 1)) == settings.model_seed(digits_point(5, True, 1))


def test_the_grid_has_every_combination_once():
    settings = Settings.of(
        "digits", lengths=[5, 9], seeds=2, rnn=["lstm", "gru"], units=[3, 4], forget_bias=[0, 1], control=True
    )
    found = settings.points()
    assert len(found) == len(set(found)) == 2 * 2 * 2 * 2 * (2 + 1) * 2  # a GRU has no forget bias
    assert settings.varied == ["rnn", "units", "mask", "forget_bias", "shuffled"]
    assert [point.seed for point in found] == sorted(point.seed for point in found)
    assert settings.label(found[0].variant) == "lstm, 3 units, with mask, forget bias 0"
    assert len({settings.label(variant) for variant in settings.variants}) == len(settings.variants) == 24


def test_quantiles_are_those_of_the_training_part():
    data = ml.load_digits()
    found = Settings.of("digits", lengths=["q50", "q90", "max", 3], data=data).lengths
    lengths = np.sort(data.lengths("train"))
    assert found == (3, lengths[999], lengths[1799], lengths[-1])


# ---- one point ----


@pytest.mark.parametrize(("right", "n"), [(8, 10), (0, 10), (10, 10), (1, 1), (0, 1), (4321, 5000)])
def test_wilson_is_that_of_scipy(right, n):
    expected = binomtest(right, n).proportion_ci(0.95, method="wilson")
    found = statistics.wilson(np.array([1.0] * right + [0.0] * (n - right)))
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_student_is_that_of_scipy():
    values = np.array([1.0, 2.0, 4.0, 8.0])
    expected = student_t.interval(0.95, 3, values.mean(), sem(values))
    np.testing.assert_allclose(statistics.student(values), expected)
    assert all(map(math.isnan, statistics.student(values[:1])))
    free = [*range(1, 12), 50, 101, 999, 4999, 20_000]
    np.testing.assert_allclose(
        [statistics.t_quantile(k) for k in free], student_t.ppf(0.975, free), rtol=1e-11
    )


def test_a_line_is_that_of_scipy():
    rng = np.random.default_rng(0)
    for n in (2, 3, 20):
        x, y = rng.normal(size=n), rng.normal(1e3, 1, size=n)
        expected, found = linregress(x, y), statistics.line(x, y)
        assert found[:3] == pytest.approx(
            (expected.intercept, expected.slope, expected.rvalue**2), rel=1e-12, abs=0
        )
        assert found.slope_error == pytest.approx(expected.stderr, rel=1e-9) or n == 2
    assert math.isnan(statistics.line([1, 2], [1, 2]).slope_error)
    assert statistics.line([1, 2, 3], [5, 5, 5]) == (5, 0, 0, 0)


def test_a_record_is_what_a_model_trained_by_hand_gives():
    settings = Settings.of("digits", lengths=[6], seeds=1, epochs=2, units=4, padding="pre", truncating="pre")
    point = digits_point(6, True, units=4, padding="pre", truncating="pre")
    assert settings.points()[0] == point
    record = points.run_point(settings, source_of(settings), point)
    data = ml.load_digits()
    x = {
        name: ml.pad_sequences(getattr(data, name).x, 6, "float32")
        for name in ("train", "validation", "test")
    }
    mask = {name: ml.lengths_to_mask(data.lengths(name), 6) for name in x}
    model = points.build_model(settings, point, data)
    before = model.trace(x["validation"][:64], data.validation.y[:64], mask["validation"][:64])["lstm"]
    history = model.fit(x["train"], data.train.y, mask=mask["train"], epochs=2, verbose=0)
    right = model.predict(x["test"], mask=mask["test"]).argmax(axis=1) == data.test.y
    assert record["test_metric"] == right.mean()
    assert (record["test_low"], record["test_high"]) == statistics.wilson(right)
    assert record["curves"]["loss"] == history.history["loss"]
    assert record["before"]["norms"] == before.lag_norm("dh").tolist()
    assert record["before"]["horizon"] == before.horizon(0.01)
    assert [snapshot["epoch"] for snapshot in record["snapshots"]] == [0, 1, 2]
    np.testing.assert_allclose(record["snapshots"][0]["norms"], record["before"]["norms"], rtol=1e-3)
    np.testing.assert_allclose(record["snapshots"][2]["norms"], record["after"]["norms"], rtol=1e-3)
    commonest = np.bincount(data.train.y).argmax()
    assert record["baseline"] == np.mean(data.test.y == commonest)
    validation = model.predict(x["validation"], mask=mask["validation"]).argmax(axis=1) == data.validation.y
    assert record["validation_metric"] == validation.mean()
    interval = binomtest(int(validation.sum()), len(validation)).proportion_ci(0.95, method="wilson")
    arm = max(validation.mean() - interval.low, interval.high - validation.mean())
    assert record["validation_error"] == pytest.approx(arm / norm.ppf(0.975), rel=1e-9)
    assert record["ms_low"] <= record["ms_per_step"] <= record["ms_high"]
    audit = ml.padding_audit(data.train.x, 6)[0]
    assert (record["cut_share"], record["padding_share"]) == (audit.cut_share, audit.padding_share)
    tape = model.layers[0].forward(x["train"][:32], mask["train"][:32], keep="everything")[2]
    assert record["tape_bytes"] == tape.nbytes > 0
    assert record["clipped_share"] == 0.0
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_the_adding_task_is_measured_by_its_squared_error():
    result = length_study("adding", lengths=[4], seeds=1, epochs=1, units=3)
    (record,) = result.cells
    data = source_of(result.settings).at(4)
    assert record["baseline"] == pytest.approx(np.mean((data.test.y - data.train.y.mean()) ** 2))
    assert record["test_low"] < record["test_metric"] < record["test_high"]
    assert result.summary["metric"] == "MSE"


def test_divergence_is_a_result_and_not_a_crash():
    settings = Settings.of("adding", lengths=[3], seeds=1, epochs=2, units=3, learning_rate=1e30)
    (point,) = settings.points()
    record = points.run_point(settings, source_of(settings), point)
    assert record["diverged"] is not None
    assert "epoch 1, batch" in record["diverged"]
    assert all(record[name] is None for name in points.METRICS)
    assert record["baseline"] > 0
    json.dumps(record, allow_nan=False)
    rows = summary.make_rows([record], settings)
    assert rows[0]["diverged"] == 1
    text = words.conclude(rows, settings)
    assert text.startswith("No length is recommended")
    assert "1 of 1 models diverged" in text
    (line,) = csv.DictReader(io.StringIO(report.to_csv([record])))
    assert line["test_metric"] == "nan"
    assert line["diverged"] == "1"


@pytest.mark.parametrize("padding", ["pre", "post"])
@pytest.mark.parametrize("masked", [True, False])
def test_the_profile_counts_from_the_end_of_each_recording(padding, masked):
    lengths = [4, 4, 2, 6]
    real = ml.lengths_to_mask(lengths, 6, padding)
    model = ml.Sequential([ml.LSTM(3, input_shape=(6, 2), name="lstm"), ml.Dense(1)], seed=0)
    model.compile(loss="mse")
    x = np.random.default_rng(0).normal(size=(4, 6, 2))
    layer = model.trace(x, np.ones(4), real if masked else None)["lstm"]
    found = points.profile(layer, real)
    norms = np.sqrt((layer.dh.astype(float) ** 2).sum(axis=2))
    by_offset = {}
    for b, length in enumerate(lengths):
        last = length - 1 if padding == "post" else 5
        for t in range(6):
            if t >= last - length + 1:
                by_offset.setdefault(t - last, []).append(norms[b, t])
    assert found["offset"] == sorted(by_offset)
    assert max(found["offset"]) == (4 if padding == "post" else 0)
    np.testing.assert_array_equal(found["norm"], [np.median(by_offset[s]) for s in found["offset"]])


# ---- many points ----


def test_two_cells_of_the_longest_length_are_never_neighbours():
    points = Settings.of("imdb").points()
    assert [point.length for point in points] == [400, 200, 100, 50, 25] * 4
    assert len({point.variant for point in points[:5]}) == 1
    twice = Settings.of("digits", seeds=2, rnn=["lstm", "gru"], forget_bias=[0, 1]).points()
    assert len(twice) == len(set(twice)) == 2 * 5 * 2 * 3
    assert {point.seed for point in twice[:30]} == {0}


def test_a_study_ends_with_whole_sweeps():
    settings = Settings.of("digits")
    turns = settings.in_turn(settings.points())
    assert sorted(map(str, turns)) == sorted(map(str, settings.points()))
    assert [point.seed for point in turns] == [0] * 10 + [1] * 10 + [3, 4] + [2] * 10
    assert [point.length for point in turns[-10:]] == [92, 40, 20, 10, 5] * 2
    assert settings.in_turn(turns[5:]) == turns[5:]
    one = Settings.of("digits", seeds=(1, 3))
    assert [point.seed for point in one.in_turn(one.points())] == [1, 2] + [0] * 10


def test_results_do_not_depend_on_the_number_of_jobs(tiny):
    seen = []
    parallel = length_study("recall", jobs=2, on_cell=lambda point, record: seen.append(point), **TINY)
    assert list(map(without_times, parallel.cells)) == list(map(without_times, tiny.cells))
    assert parallel.conclusion == tiny.conclusion
    assert len(seen) == 4
    assert set(seen) == set(Settings.of("recall", **TINY).points())


def test_threads_are_as_they_were_after_a_study():
    before = ml.get_num_threads()
    length_study("recall", lengths=[2], seeds=1, epochs=1, units=2)
    assert ml.get_num_threads() == before


def test_jobs_are_checked_before_any_work():
    with pytest.raises(ValueError, match="jobs must be a whole number >= 1, got 0"):
        length_study("recall", jobs=0)


def dying(*arguments):
    os._exit(1)


def test_a_dead_worker_is_an_error_that_says_what_to_do(monkeypatch):
    monkeypatch.setattr(run, "_work_here", dying)
    with pytest.raises(study.StudyError, match=r"a worker process died .* the same command goes on"):
        length_study("recall", jobs=2, **TINY)


def test_a_script_without_the_guard_is_told_of_it(tmp_path):
    script = tmp_path / "unguarded.py"
    script.write_text(f"import minilstm as ml\nml.length_study('recall', jobs=2, **{TINY!r})\n")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("`if __name__ == '__main__':`)")


# ---- the folder ----


@pytest.mark.slow
def test_finished_cells_are_not_run_again(tmp_path, tiny):
    length_study("recall", out=tmp_path / "s", **TINY)
    first = (tmp_path / "s" / "results.jsonl").read_bytes()
    again = []
    result = length_study("recall", out=tmp_path / "s", on_cell=lambda c, r: again.append(c), **TINY)
    assert again == []
    assert result.summary["spent"]["cells_run"] == 0
    assert (tmp_path / "s" / "results.jsonl").read_bytes() == first
    assert list(map(without_times, result.cells)) == list(map(without_times, tiny.cells))


@pytest.mark.slow
def test_a_torn_last_line_is_dropped_and_its_cell_run_again(tmp_path, tiny):
    folder = tmp_path / "s"
    length_study("recall", out=folder, **TINY)
    lines = (folder / "results.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "results.jsonl").write_bytes(b"".join(lines[:-1]) + lines[-1][:40])
    seen = []
    with pytest.warns(UserWarning, match=r"last line of .*results.jsonl is torn; its model is trained again"):
        result = length_study("recall", out=folder, on_cell=lambda point, record: seen.append(point), **TINY)
    lost = json.loads(lines[-1])
    assert seen == [Point.of(lost)]
    assert list(map(without_times, result.cells)) == list(map(without_times, tiny.cells))
    assert len((folder / "results.jsonl").read_bytes().splitlines()) == 4


def test_other_damage_is_an_error_with_file_and_line(tmp_path, tiny):
    folder, settings = tmp_path / "s", Settings.of("recall", **TINY)
    open_journal(settings, folder).close()
    (folder / "results.jsonl").write_text(json.dumps(tiny.cells[0] | Point(99, 0).to_dict()) + "\n")
    with pytest.raises(ValueError, match=r"results.jsonl:1 is damaged: length 99, seed 0, .* is not part"):
        open_journal(settings, folder)
    (folder / "results.jsonl").write_text("{\n")
    with pytest.raises(ValueError, match=r"results.jsonl:1 is damaged"):
        open_journal(settings, folder)


def test_other_settings_are_refused_by_name_and_nothing_changes(tmp_path):
    folder = tmp_path / "s"
    open_journal(Settings.of("recall", **TINY), folder).close()
    before = (folder / "config.json").read_bytes()
    with pytest.raises(
        ValueError, match=r"other settings: epochs was 1, now 2; units was 3, now 4; choose another"
    ):
        open_journal(Settings.of("recall", **{**TINY, "epochs": 2, "units": 4}), folder)
    assert (folder / "config.json").read_bytes() == before
    assert [path.name for path in folder.iterdir()] == ["config.json"]


def test_a_folder_of_other_things(tmp_path):
    settings = Settings.of("recall", **TINY)
    (tmp_path / "notes.txt").write_text("mine")
    open_journal(settings, tmp_path).close()
    assert (tmp_path / "notes.txt").read_text() == "mine"
    for name in ("results.csv", "model.npz", "preparation.npz"):
        (tmp_path / name[:3]).mkdir()
        (tmp_path / name[:3] / name).write_text("mine")
        with pytest.raises(ValueError, match=f"holds {name}, but no config.json"):
            open_journal(settings, tmp_path / name[:3])
    (tmp_path / "c").mkdir()
    for text in ("{", "[]", "{}"):
        (tmp_path / "c" / "config.json").write_text(text)
        with pytest.raises(ValueError, match=r"config.json is not"):
            open_journal(settings, tmp_path / "c")
        assert (tmp_path / "c" / "config.json").read_text() == text
    with pytest.raises(FileNotFoundError, match=r"the folder above .* does not exist"):
        open_journal(settings, tmp_path / "no" / "no")
    with pytest.raises(NotADirectoryError, match="is a file"):
        open_journal(settings, tmp_path / "notes.txt")


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(PermissionError, match="is not writable"):
        open_journal(Settings.of("recall", **TINY), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="needs links")
def test_a_journal_that_cannot_be_written_or_read_is_refused_before_any_training(tmp_path):
    settings = Settings.of("recall", **TINY)
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(NotADirectoryError, match="is a link that leads nowhere"):
        open_journal(settings, tmp_path / "link")
    for name, target, error in (
        ("loop", "results.jsonl", "symbolic links"),
        ("lost", "no/x", "No such file"),
    ):
        open_journal(settings, tmp_path / name).close()
        (tmp_path / name / "results.jsonl").symlink_to(target)
        with pytest.raises(OSError, match=error):
            open_journal(settings, tmp_path / name)


def test_a_full_disk_keeps_what_was_there(tmp_path, monkeypatch):
    folder = tmp_path / "s"
    length_study("recall", out=folder, **TINY)
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    monkeypatch.setattr(
        "os.fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    with pytest.raises(OSError, match="No space"):
        length_study("recall", out=folder, **TINY)
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


# ---- rows and the sentence, on numbers made by hand ----


def row(length, mask=True, validation=0.9, error=0.01, test=None, baseline=0.1, diverged=0, no_better=0):
    test = validation if test is None else test
    return {
        **dict.fromkeys(plan.DIMENSIONS) | {"rnn": "lstm", "units": 64, "padding": "post", "shuffled": False},
        "truncating": "post",
        "forget_bias": 1,
        "length": length,
        "mask": mask,
        "seeds": 3,
        "sequences_cut_share": 0.0,
        "padding_share": 0.0,
        "test_spread": None,
        "tape_bytes": 1000.0 * length,
        "diverged": diverged,
        "no_better": no_better,
        "test_metric": test,
        "test_low": None if test is None else test - 0.02,
        "test_high": None if test is None else test + 0.02,
        "validation_metric": validation,
        "validation_error": error,
        "validation_chance": error,
        "late_gain": 0.0,
        "compared_with": None,
        **dict.fromkeys(("difference", "difference_low", "difference_high")),
        "validation_baseline": baseline,
        "baseline": baseline,
        "ms_per_step": length / 10,
        "first_norm_before": 10.0**-length,
    }


def chosen(rows, metric="accuracy"):
    found = summary.choose(rows, metric)
    return None if found is None else tuple((r["length"], r["mask"]) for r in found)


def test_the_smallest_length_within_one_standard_error_of_the_best_is_chosen():
    rows = [
        row(5, validation=0.85),
        row(10, validation=0.965),
        row(20, validation=0.97),
        row(40, validation=0.975),
    ]
    assert chosen(rows) == ((10, True), (40, True))
    assert chosen([*rows[:1], row(10, validation=0.964), *rows[2:]]) == ((20, True), (40, True))
    text = words.conclude(rows, Settings.of("digits", mask=True))
    assert text == (
        "Length 10 is enough: test accuracy 0.965 [0.945, 0.985], within one standard error of length 40's "
        "on the validation part, at 0.25 times its time per step and 0.25 times its memory."
    )


def test_the_choice_is_made_on_the_validation_part_and_not_on_the_test_part():
    rows = [row(5, validation=0.8, test=0.99), row(10, validation=0.9, test=0.5)]
    assert chosen(rows) == ((10, True), (10, True))
    assert words.conclude(rows, Settings.of("digits", mask=True)).startswith(
        "Length 10 is best: test accuracy 0.500 [0.480, 0.520]; no shorter"
    )


def test_the_standard_error_of_15_right_answers_of_15_is_not_0():
    right = np.ones(15)
    low = binomtest(15, 15).proportion_ci(0.95, method="wilson").low
    error = statistics.share_error(right)
    assert error == pytest.approx((1 - low) / norm.ppf(0.975), rel=1e-9)
    for share in (0.1, 0.9):  # of many, it is the usual one
        many = np.arange(100_000) < 100_000 * share
        assert statistics.share_error(many) == pytest.approx(sem(many), rel=0.01)
    assert chosen([row(41, validation=14 / 15, error=error), row(150, validation=1.0, error=error)]) == (
        (41, True),
        (150, True),
    )


def test_the_sentence_says_when_the_validation_part_is_too_small_and_how_many_are_enough():
    rows = [row(41, validation=14 / 15, error=0.104), row(150, validation=1.0, error=0.104)]
    settings = Settings.of("digits", mask=True)
    text = words.conclude(rows, settings, 15)
    assert text.startswith("Length 41 seems enough: ")
    needed = summary.too_few(rows[1], 15)
    assert f"with 15 sequences the standard error is 0.104; about {needed} would be enough." in text
    error = statistics.share_error(np.ones(needed))
    assert summary.too_few({**rows[1], "validation_chance": error}, needed) is None
    assert "too small" not in words.conclude(
        [{**r, "validation_chance": error} for r in rows], settings, needed
    )


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ((-0.400, 0.341), "cannot confirm"),
        ((-0.080, -0.020), "contradicts"),
        ((-0.010, 0.008), None),
    ],
)
def test_the_sentence_says_when_the_interval_of_the_difference_speaks_against_it(interval, expected):
    low, high = interval
    pair = {"compared_with": 40, "difference": -0.029, "difference_low": low, "difference_high": high}
    rows = [row(10, validation=0.968) | pair, row(40, validation=0.975)]
    text = words.conclude(rows, Settings.of("digits", mask=True))
    if expected is None:
        assert "is enough" in text
        assert "The test part" not in text
    else:
        assert "seems enough" in text
        differs = "this: seed by seed, its accuracy differs from that of length 40 by"
        assert f"The test part {expected} {differs} -0.029 [{low:+.3f}, {high:+.3f}]." in text


def test_a_validation_part_that_is_too_small_whatever_is_trained_is_told_before():
    def data(size, classes):
        y = np.arange(size) % 2
        part = SimpleNamespace(x=[None] * size, y=y)
        return SimpleNamespace(validation=part, train=part, classes=classes)

    text = words.too_small(data(36, None))
    assert "with 36 sequences one standard error of an MSE is 24 % of it; about 800 would be enough" in text
    assert words.too_small(data(800, None)) == ""
    best = row(5, validation=0.5, error=0.5 * math.sqrt(2 / 36), baseline=1.0)
    assert summary.too_few(best | {"validation_baseline": 1.0}, 36) == 800  # as the sentence of the study
    text = words.too_small(data(16, 2))
    error = statistics.share_error(np.ones(16))
    assert text.endswith(f"{error:.3f} even if all are right; about 75 would be enough")
    assert words.too_small(data(74, 2)) != ""
    assert words.too_small(data(76, 2)) == ""


def test_the_sentence_says_when_training_had_not_ended():
    def group(values):
        return [{"diverged": None, "curves": {"val_accuracy": curve, "loss": curve}} for curve in values]

    settings, adding = Settings.of("digits", epochs=8), Settings.of("adding", epochs=2)

    rise = [[0.1] * 4 + [0.2] * 2 + [0.5] * 2, [0.1] * 4 + [0.4] * 2 + [0.5] * 2]
    assert summary._late_gain(group(rise), settings) == pytest.approx(0.2)
    falls = {"diverged": None, "curves": {"val_loss": [4.0, 3.0], "loss": [4.0, 3.0]}}
    assert summary._late_gain([falls], adding) == 1.0
    assert summary._late_gain(group([[0.5]]), Settings.of("digits", epochs=1)) is None
    assert summary._late_gain(group([rise[0], [0.1, 0.9]]), settings) == pytest.approx(0.15)  # one stopped
    rows = [row(5, validation=0.85), row(10, validation=0.97), row(20, validation=0.98) | {"late_gain": 0.1}]
    assert "improving at the last epoch at 20: more" in words.conclude(rows, Settings.of("digits", mask=True))


def test_no_slope_is_printed_where_the_times_lie_on_no_line():
    rows = [row(T) | {"ms_per_step": ms} for T, ms in ((5, 3.0), (40, 39.8), (92, 25.8))]
    text = words.conclude(rows, Settings.of("digits", mask=True))
    r2 = linregress([5, 40, 92], [3.0, 39.8, 25.8]).rvalue ** 2
    assert f"Times do not grow evenly with length (R\u00b2 {r2:.2f})" in text
    assert "its time per step" not in text
    fits = {name: summary.linear_fit(rows, name) for name in ("ms_per_step", "tape_bytes")}
    unsteady, straight = report.fit_sentences({"": fits})
    assert " T ms" not in unsteady
    assert "on no line" in unsteady
    assert straight.startswith("tape = ")
    falling = [row(T) | {"ms_per_step": ms} for T, ms in ((6, 2.03), (24, 1.6))]  # two points: R^2 is 1
    (said,) = report.fit_sentences(
        {"": {"ms_per_step": summary.linear_fit(falling, "ms_per_step"), "tape_bytes": None}}
    )
    assert said.startswith("time of a training step (R\u00b2 1.000): on no line")


def test_less_is_better_for_an_error():
    rows = [row(5, validation=0.05, baseline=0.17), row(10, validation=0.041), row(20, validation=0.04)]
    rows = [{**r, "baseline": 0.17, "validation_baseline": 0.17, "validation_error": 0.002} for r in rows]
    assert chosen(rows, "MSE") == ((10, True), (20, True))


def test_nothing_is_recommended_when_nothing_beats_the_baseline():
    rows = [row(5, validation=0.115), row(10, validation=0.119)]
    assert chosen(rows) is None
    assert words.conclude(rows, Settings.of("digits")) == (
        "No length is recommended: none beats the 0.100 of always answering the commonest class; "
        "the best, length 10, has a test accuracy of 0.119 [0.099, 0.139]."
    )
    rows[0]["late_gain"] = rows[1]["late_gain"] = 0.1
    assert words.conclude(rows, Settings.of("digits")).endswith(
        "Training was still improving at the last epoch at 5 and 10: more epochs may change the choice."
    )


def test_the_side_that_shorter_lengths_lose_is_told_where_none_of_them_does_as_well():
    short = row(5, validation=0.5) | {"sequences_cut_share": 0.9}
    for rows, settings, side in (
        ([short, row(10, validation=0.97)], {}, "lose the end of"),
        ([short, row(10, validation=0.97)], {"truncating": "pre"}, "lose the beginning of"),
        ([short, row(10, validation=0.97)], {"truncating": ["pre", "post"]}, ""),
        ([row(5, validation=0.5), row(10, validation=0.97)], {}, ""),
        ([row(5, validation=0.97) | {"sequences_cut_share": 0.9}, row(10, validation=0.97)], {}, ""),
    ):
        said = words.conclude(rows, Settings.of("digits", **settings))
        assert ("Shorter ones lose" in said) == bool(side)
        assert side in said


def test_a_length_of_which_a_seed_diverged_is_not_recommended():
    rows = [row(5, validation=0.97, diverged=1), row(10, validation=0.97)]
    assert chosen(rows) == ((10, True), (10, True))


def test_the_sentence_says_where_the_mask_matters():
    rows = [row(20), row(20, False), row(92, test=0.98, validation=0.95), row(92, False, 0.09, test=0.07)]
    ends = {0: "", 2: ", 2 of 3 seeds no better than BASE", 3: ", no better than BASE"}
    for no_better, end in ends.items():
        rows[3]["no_better"] = no_better
        text = words.conclude(rows, Settings.of("digits"))
        end = end.replace("BASE", "the 0.100 of always answering the commonest class")
        assert text.endswith(f"Without a mask, length 92 falls to 0.070 [0.050, 0.090] from 0.980{end}.")
    same = [row(20), row(20, False, test=0.91)]
    assert words.conclude(same, Settings.of("digits")).endswith(
        "makes no difference that this test part could show."
    )


def test_seeds_that_learned_and_those_that_did_so_late_are_told(tiny):
    rows = [row(20), row(92, False, 0.5, no_better=2) | {"seeds": 5, "late_learners": 1}]
    text = words.conclude(rows, Settings.of("digits"))
    assert (
        "At length 92 (without mask) 3 of 5 seeds learned, 1 of them in the second half of the epochs."
        in text
    )
    rows[1] |= {"late_learners": 3}
    text = words.conclude(rows, Settings.of("digits"))
    assert "3 of 5 seeds learned, in the second half of the epochs." in text
    assert "At length 20" not in text
    same = [row(length, mask, 0.5, no_better=2) for length in (5, 20) for mask in (True, False)]
    text = words.conclude([*same, row(92)], Settings.of("digits"))
    both = "with mask; without mask"
    assert f"At length 5 ({both}) and length 20 ({both}) 1 of 3 seeds learned. " in text
    head, _, *lines = tiny.table().splitlines()
    start = head.index("learned")
    for line, found in zip(lines, tiny.rows, strict=True):
        assert line[start - 2 : start + 7].strip() == f"{2 - found['no_better']} of 2"


@pytest.mark.parametrize(
    ("curve", "late"),
    [
        ([0.1, 0.5, 0.8, 0.9], 0),
        ([0.1, 0.1, 0.1, 0.9], 1),
        ([0.1, 0.1, 0.6, 0.9], 1),
        ([0.1, 0.9, 0.1, 0.9], 0),
    ],
)
def test_a_late_learner_is_half_way_only_after_half_of_the_epochs(curve, late):
    digits, adding = Settings.of("digits", epochs=4), Settings.of("adding", epochs=4)
    record = {"validation_baseline": 0.1, "baseline": 0.1, "test_low": 0.8, "diverged": None}
    learns = record | {"curves": {"val_accuracy": curve}}
    assert summary._learned_late(learns, digits) == bool(late)
    assert not summary._learned_late(learns | {"test_low": 0.0}, digits)
    assert not summary._learned_late(learns, Settings.of("digits", epochs=20))  # it stopped early
    losses = {"curves": {"val_loss": [1 - value for value in curve]}, "test_high": 0.2}
    record |= {"baseline": 0.9, "validation_baseline": 0.9}
    assert summary._learned_late(record | losses, adding) == bool(late)


def test_a_task_whose_difficulty_is_its_length_gets_no_recommendation_but_a_reach():
    rows = [
        row(3, False, 1.0),
        row(5, False, 0.9),
        row(6, False, 0.5, no_better=2),
        row(8, False, 0.1, no_better=3),
    ]
    text = words.conclude(rows, Settings.of("recall"))
    assert text == (
        "Recall is learned up to length 5: test accuracy 0.900 [0.880, 0.920]; by 1 of 3 seeds at 6; not at "
        "8, where 0.100 is no better than the 0.100 of always answering the commonest class. Before "
        "training, the gradient norm at the first step goes from 1.0e-03 at length 3 to 1.0e-08 at 8."
    )
    assert words.conclude(rows[2:3], Settings.of("recall")) == (
        "Recall is learned by 1 of 3 seeds at length 6: test accuracy 0.500 [0.480, 0.520]."
    )
    assert words.conclude(rows[3:], Settings.of("recall")).startswith("No length is recommended: none beats")


def test_rows_average_over_seeds_and_span_their_intervals(tiny):
    first = tiny.rows[0]
    own = [record for record in tiny.cells if record["length"] == first["length"]]
    assert first["test_metric"] == pytest.approx(np.mean([record["test_metric"] for record in own]))
    assert first["test_low"] == min(record["test_low"] for record in own)
    assert first["test_high"] == max(record["test_high"] for record in own)
    records = [{**own[0], "baseline": own[0]["test_low"]}, {**own[1], "baseline": own[1]["test_low"] - 0.01}]
    assert summary.make_rows(records, Settings.of("recall", **TINY))[0]["no_better"] == 1


def test_a_difference_of_accuracies_has_no_interval_beyond_one(tiny):
    """Of two seeds, Student's t would reach to 5."""
    both = [record for record in tiny.cells if not record["mask"]] or list(tiny.cells)
    made = [
        {**one, "length": length, "seed": seed, "test_metric": value, "validation_metric": length / 10}
        for length, values in ((4, (0.1, 0.9)), (8, (0.5, 0.5)))
        for seed, value in enumerate(values)
        for one in both[:1]
    ]
    rows = summary.make_rows(made, Settings.of("recall", **TINY | {"lengths": [4, 8], "seeds": 2}))
    assert (rows[0]["difference_low"], rows[0]["difference_high"]) == (-1, 1)


def test_the_fit_is_least_squares():
    rows = [{"length": T, "y": y} for T, y in [(5, 1.0), (10, 2.5), (20, 4.0), (40, None)]]
    expected = linregress([5, 10, 20], [1.0, 2.5, 4.0])
    power = linregress(np.log([5, 10, 20]), np.log([1.0, 2.5, 4.0]))
    half = student_t.ppf(0.975, 1) * power.stderr
    fit = summary.linear_fit(rows, "y")
    assert fit == {
        "intercept": expected.intercept,
        "slope": expected.slope,
        "r_squared": pytest.approx(expected.rvalue**2),
        "exponent": pytest.approx(power.slope),
        "exponent_low": pytest.approx(power.slope - half),
        "exponent_high": pytest.approx(power.slope + half),
    }
    assert summary.linear_fit(rows[:1], "y") is None


# ---- table, figures and report ----


def test_the_table_leaves_out_columns_until_it_fits_and_names_them(tiny):
    whole, narrow = tiny.table(), tiny.table(80)
    assert len(whole.splitlines()[0]) > 80 >= max(map(len, narrow.splitlines()))
    left = narrow.splitlines()[-1].removeprefix("Only in results.csv: ").split(", ")
    head = narrow.splitlines()[0]
    assert left[0] == "tape MB"
    assert not [name for name in left if name in head]
    assert all(name in whole.splitlines()[0] for name in left)
    assert "test accuracy" in head
    assert "Only in" not in whole


def test_the_table_has_the_spread_of_the_times(tiny):
    for line, row in zip(tiny.table().splitlines()[2:], tiny.rows, strict=True):
        low, middle, high = (row[name] for name in ("ms_low", "ms_per_step", "ms_high"))
        assert low <= middle <= high
        assert f" {middle:.2f} [{low:.2f}, {high:.2f}] " in line


def test_figures_hold_the_numbers_of_the_study(tiny):
    settings = Settings.of("recall", **TINY)
    figures = {chart.name: draw(chart) for chart in study_figures(tiny.summary, tiny.cells, settings)}
    assert list(figures) == [
        "accuracy",
        "cost",
        "memory",
        "gradient_back",
        "horizon",
        "first_step",
        "training",
    ]
    bars = figures["accuracy"].axes[0].containers[0]
    assert bars.lines[0].get_ydata().tolist() == [r["test_metric"] for r in tiny.rows]
    before = figures["gradient_back"].axes[0].get_lines()
    expected = np.median([r["before"]["norms"] for r in tiny.cells if r["length"] == 3], axis=0)
    np.testing.assert_array_equal(before[0].get_ydata(), expected)
    tape = figures["memory"].axes[0].get_lines()[0]
    np.testing.assert_allclose(tape.get_ydata(), [r["tape_bytes"] / 1e6 for r in tiny.rows])
    first = figures["first_step"].axes[0].get_lines()[0]
    assert first.get_ydata().tolist() == [r["first_norm_before"] for r in tiny.rows]


def test_figures_of_a_study_that_diverged_have_gaps(tiny):
    settings = Settings.of("recall", **TINY)
    records = [{**r, "diverged": "NaN", **dict.fromkeys(points.METRICS)} for r in tiny.cells]
    diverged = open_journal(settings)
    diverged.records = {Point.of(record): record for record in records}
    found = result_of(diverged)
    figures = {chart.name: draw(chart) for chart in study_figures(found.summary, records, settings)}
    assert np.isnan(figures["accuracy"].axes[0].containers[0].lines[0].get_ydata()).all()


def test_rings_mark_the_epoch_whose_weights_are_used(tiny):
    settings = Settings.of("recall", **TINY)
    diverged, *others = tiny.cells
    curves = [[0.5 + k, 0.3 + k, 0.4 + k][:k] for k in (1, 3, 2)]
    records = [{**r, "curves": {"val_accuracy": c}} for r, c in zip(others, curves, strict=True)]
    *_, chart = study_figures(tiny.summary, [{**diverged, "diverged": "NaN"}, *records], settings)
    rings = chart.panels[0].lines[-1]
    assert (rings.x, rings.y) == ([1, 3, 2], [1.5, 3.4, 2.3])
    drawn = draw(chart).axes[0].get_lines()[-1]
    assert (drawn.get_marker(), drawn.get_markerfacecolor()) == ("o", "none")


def test_no_seed_is_left_out_of_the_figure():
    many = list(range(40))
    _, ax = base.new_figure()
    base.line(ax[0], many, many, linestyle="none")
    assert ax[0].get_lines()[0].get_markevery() == 1


def test_the_report_escapes_every_text(tiny):
    evil = "<script>alert('x')</script>\"&"
    records = [{**tiny.cells[0], "diverged": evil}]
    settings = Settings.of("recall", **TINY)
    result = study.StudyResult(evil, tiny.rows, records, {**tiny.summary, "conclusion": evil}, settings)
    page = report.to_html(result, settings, []).partition('<script type="application/json"')[0]
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 2


def test_a_script_with_the_usual_guard_can_use_workers(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
            from minilstm.study import length_study
            if __name__ == "__main__":
                tiny = {"lengths": [2, 3], "seeds": 1, "epochs": 1, "units": 2, "jobs": 2}
                print(len(length_study("recall", verbose=0, **tiny).rows))
        """)
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120)
    said = [line for line in done.stderr.splitlines() if not line.startswith("minilstm: compil")]
    assert (done.stdout, said) == ("2\n", [])


def test_a_model_that_has_learned_stops_by_training_and_validation_values_alone():
    rng = np.random.default_rng(0)
    x = [rng.normal(2 * (k % 2) - 1, 3.0, size=(4, 2)) for k in range(120)]
    given = {"lengths": [4], "seeds": 1, "mask": True, "units": 8, "epochs": 40, "learning_rate": 0.1}

    def curves(patience, **more):
        result = length_study(x, [k % 2 for k in range(120)], patience=patience, verbose=0, **given | more)
        return result.cells[0]["curves"]

    whole, found = curves("none"), curves(2)
    losses, epochs = whole["val_loss"], len(found["loss"])
    since = [k - losses.index(min(losses[: k + 1])) for k in range(40)]
    first = next(k for k in range(40) if since[k] >= 2 and whole["accuracy"][k] >= 0.99)
    assert epochs == first + 1 < 40 == len(losses)
    assert found == {key: values[:epochs] for key, values in whole.items()}
    assert len(curves(2, control=True, learning_rate=1e-6)["loss"]) == 40  # it learns nothing
    assert Settings.of("adding").patience is None
    assert "--patience none" in Settings.of("digits", patience="none").command()
    with pytest.raises(ValueError, match="patience must be left out for a regression"):
        Settings.of("adding", patience=2)


@pytest.mark.slow
def test_digits_reach_what_pytorch_reaches_and_fail_without_a_mask():
    """The reference: PyTorch, LSTM of 64 units, Adam 3e-3, 20 epochs, on the same split, with a mask."""
    result = length_study("digits", lengths=[5, 20, 92], seeds=1)
    found = {(row["length"], row["mask"]): row["test_metric"] for row in result.rows}
    for length, reference in ((5, 0.85), (20, 0.98), (92, 0.98)):
        assert found[length, True] >= reference - 0.02
    assert found[92, False] < 0.2


def test_steps_are_timed_after_the_models_one_at_a_time(tmp_path, monkeypatch):
    settings = {**TINY, "seeds": 1, "control": True}
    timed = []

    class Model:
        def __init__(self, point):
            self.point = point

        def train_on_batch(self, x, y, mask=None):
            timed.append(self.point.length)

    monkeypatch.setattr(timing, "build_model", lambda settings, point, data: Model(point))
    ticks = iter(range(10**6))
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: float(next(ticks))))
    monkeypatch.setattr(timing, "ROUNDS", 6)
    result = length_study("recall", **settings, out=tmp_path / "a", verbose=0)
    in_turn = (1 + timing.FEWEST) * [5, 3]  # each look at the clock is a second here; one before, untimed
    assert timed == in_turn  # the control costs what its variant does
    assert {row["ms_per_step"] for row in result.rows} == {1000.0}
    assert result.summary["timed"] == {"steps": [timing.FEWEST], "threads": [run.processors()]}
    again = length_study("recall", **settings, out=tmp_path / "a", verbose=0)
    assert timed == in_turn
    assert again.rows == result.rows
    monkeypatch.setattr(timing, "time_steps", None)  # a report measures nothing
    remade = result_of(Journal.read(tmp_path / "a"))
    assert remade.rows == result.rows
    (tmp_path / "a" / "times.jsonl").write_text('{"length": 3}\n')
    with pytest.raises(ValueError, match=r"times.jsonl:1 is damaged: it has no 'rnn'"):
        Journal.read(tmp_path / "a")


@pytest.mark.parametrize("name", ["task", "data", "length"])
def test_a_name_that_is_no_setting_is_told(name):
    with pytest.raises(TypeError, match=f"length_study has no argument '{name}'"):
        length_study("recall", **{name: "recall"})
