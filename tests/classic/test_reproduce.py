"""Rows, their bands, `ml.reproduce`, and the command around them."""

from __future__ import annotations

import json

import numpy as np
import pytest

import minilstm as ml
from minilstm.classic import experiments, h_detach, results, row, strings, theory, training, vowels
from minilstm.classic.row import Band, Row
from minilstm.commands import cli, reproduce, reproduce_page

ALWAYS = Band("holds", "none", lambda found: True)
NEVER = Band("does not", "none", lambda found: False)


def coin(seed: int, *, size: int, rate: float) -> row.Record:
    """A trial that succeeds for even seeds."""
    return {"value": 100.0 * size + seed, "solved": seed % 2 == 0, "wrong": seed}


def exact(seed: int) -> row.Record:
    return coin(0, size=1, rate=1)


def some_row(**options) -> Row:
    default = {"name": "coin", "claim": "Heads.", "source": "nobody", "published": "half", "run": coin}
    default |= {"bands": (ALWAYS,), "measured": "points", "trials": 4, "quick_trials": 2}
    return Row(**default | {"settings": {"size": (1, 2), "rate": 0.5}} | options)


def run_here(tasks, work, on_record, *_):
    """In place of `run_in_pool`, whose workers know only the real rows."""
    for key, task in tasks.items():
        on_record(key, work(*task))


@pytest.fixture
def rows(monkeypatch):
    """These two rows in place of all others."""
    monkeypatch.setattr(reproduce, "run_in_pool", run_here)
    found = (
        some_row(),
        some_row(name="exact", settings={}, run=exact, trials=1, quick_trials=1),
    )
    for module in (results, reproduce):
        monkeypatch.setattr(module, "ROWS", found)
    return found


# ---------------------------------------------------------------- rows


def test_a_row_as_a_dict(rows):
    found = ml.reproduce("coin", trials=3, seed=2)
    assert found["trials"] == 3
    assert found["solved"] == 2  # seeds 2 and 4
    assert found["mean"] == 103
    assert found["range"] == [102, 104]
    assert found["wrong"] == [3, 4]
    assert found["interval"][0] <= 103 <= found["interval"][1]
    assert list(found["conditions"]) == [1, 2]
    assert found["conditions"][2]["mean"] == 203
    assert [one["seed"] for one in found["conditions"][1]["records"]] == [2, 3, 4]
    assert found["verdict"] == "reproduced"
    assert found["seconds"] >= 0
    json.dumps(found["bands"])


def test_other_settings_have_no_verdict(rows):
    found = ml.reproduce("coin", trials=1, size=7)
    assert list(found["conditions"]) == [7]
    assert found["mean"] == 700
    assert found["verdict"] is None
    assert found["bands"] == []
    assert list(ml.reproduce("coin", trials=1, size=[3, 4])["conditions"]) == [3, 4]


@pytest.mark.parametrize(
    ("bands", "verdict"),
    [((ALWAYS, ALWAYS), "reproduced"), ((ALWAYS, NEVER), "partly"), ((NEVER,), "not")],
)
def test_verdicts(bands, verdict):
    one = some_row(bands=bands)
    assert one.verdict({}) == verdict


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"name": "coins"}, ValueError, "name must be 'coin' or 'exact', got 'coins'"),
        ({"name": "coin", "trials": 0}, ValueError, "trials must be a whole number >= 1, got 0"),
        ({"name": "coin", "seed": -1}, ValueError, "seed must be a whole number >= 0, got -1"),
        (
            {"name": "coin", "length": 5},
            ValueError,
            "a setting of coin must be 'size' or 'rate', got 'length'",
        ),
        ({"name": "exact", "length": 5}, ValueError, "this row has none, got 'length'"),
        ({"name": "coin", "size": 1.5}, TypeError, "size must be a whole number >= 1, got 1.5"),
        ({"name": "coin", "rate": -1.0}, ValueError, "rate must be a finite number >= 0, got -1.0"),
        ({"name": "coin", "rate": (0.1, 0.2)}, ValueError, r"rate must be one value, got \(0.1, 0.2\)"),
    ],
)
def test_what_cannot_be_meant(rows, arguments, error, message):
    with pytest.raises(error, match=message):
        ml.reproduce(**arguments)


def test_summary_of_failures_alone():
    found = row.summary([{"value": 5, "solved": False, "wrong": 3, "seconds": 1.0}])
    assert (found["solved"], found["mean"], found["range"], found["wrong"]) == (0, None, None, None)
    assert not row.time_to_success({None: 5}).holds({None: found})
    assert not row.nearly_all_solved().holds({None: found})
    assert not row.never_more_wrong_than(3).holds({None: found})


def test_shared_bands():
    def of(mean, solved=30, worst=3):
        return {None: {"trials": 30, "solved": solved, "mean": mean, "wrong": [1.0, worst]}}

    time = row.time_to_success({None: 100})
    assert [time.holds(of(mean)) for mean in (49, 50, 125, 126)] == [False, True, True, False]
    share = row.nearly_all_solved()
    assert [share.holds(of(1, solved)) for solved in (30, 29, 28)] == [True, True, False]
    wrong = row.never_more_wrong_than(3)
    assert [wrong.holds(of(1, worst=worst)) for worst in (3, 4)] == [True, False]


def test_interval_covers_the_mean():
    rng = np.random.default_rng(0)
    covered = [row.interval(list(rng.exponential(size=30))) for _ in range(200)]
    assert 0.85 < np.mean([low <= 1 <= high for low, high in covered]) < 0.99


def test_every_row_says_all():
    names = [one.name for one in results.ROWS]
    assert len(set(names)) == len(names)
    for one in results.ROWS:
        assert one.bands
        assert all(band.text and band.reason for band in one.bands)
        assert one.quick_trials <= one.trials
        assert one.claim.endswith(".")


# ---------------------------------------------------------------- the paper's rows, small


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("long-lag", {"lag": 5, "rate": 0.1}),
        ("adding-1997", {"length": 20}),
        ("temporal-order-1997", {"length": 20}),
    ],
)
def test_small_versions_learn(name, settings, monkeypatch):
    """With short sequences and a small budget; the mean alone would be wrong 2,167 times, or always."""
    monkeypatch.setattr(experiments, "PATIENCE", 0.3)
    monkeypatch.setattr(experiments, "RECENT", 200)
    found = ml.reproduce(name, trials=1, **settings)
    (one,) = next(iter(found["conditions"].values()))["records"]
    assert one["value"] > 0
    assert one["wrong"] < 2000
    again = ml.reproduce(name, trials=1, **settings)
    assert {**found, "seconds": 0, "conditions": 0} == {**again, "seconds": 0, "conditions": 0}


def test_reber_is_learned():
    """In 2,500 strings better than by the frequencies of the symbols alone; the next trial is the same."""
    shape = experiments.configurations.EMBEDDED_REBER
    strings = experiments.Strings(experiments.reber_strings(0)[0])
    targets = strings.sequences.targets
    weights = shape.draw(np.random.default_rng(0), 0.2, (), (-1, -2, -3))
    for _ in range(10):
        outputs = experiments.online.learn(shape, weights, strings.sequences, 0.5)
    assert ((outputs - targets) ** 2).sum() < 0.8 * ((targets.mean(axis=0) - targets) ** 2).sum()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiments, "PATIENCE", 0.05)
        one, other = (ml.reproduce("reber", trials=1, rate=0.5) for _ in range(2))
    assert one["solved"] == 0
    assert one["conditions"][0.5]["records"][0]["value"] == 500
    assert one["conditions"][0.5]["records"][0]["wrong"] == other["conditions"][0.5]["records"][0]["wrong"]


@pytest.mark.parametrize("name", ["weight-counts", "carousel", "half-lives", "checkpointing"])
def test_exact_rows(name):
    found = ml.reproduce(name)
    assert found["verdict"] == "reproduced"
    json.dumps(found["conditions"][None])


def test_bound_of_pascanu():
    found = ml.reproduce("pascanu-bound", nets=200)
    assert (found["mean"], found["solved"]) == (0, 1)
    ratios = theory.jacobian_products(np.random.default_rng(0), 50, 4, 5, 0.99, 1.0)
    assert 0.01 < ratios.max() <= 1 + 1e-12


def test_dropped_share_of_the_carousel_row():
    (one,) = ml.reproduce("carousel", trials=1, length=20)["conditions"][None]["records"]
    assert np.isfinite(one["dropped"])


def test_reber_strings_of_the_data_sets():
    train, test = experiments.reber_strings(0)
    assert len(train) == len(test) == 256
    assert not set(train) & set(test)
    assert experiments.reber_strings(0) == (train, test)
    assert experiments.reber_strings(1)[0] != train


def test_possible_symbols_must_be_the_most_active():
    strings = experiments.Strings(["BTBTXSETE", "BPBTXSEPE"])
    shape = experiments.configurations.EMBEDDED_REBER
    outputs = strings.possible.astype(float)
    outputs[-1, 0] = 2.0  # the end of the second string
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiments.online, "learn", lambda *_: outputs)
        assert strings.predicted(shape, None).tolist() == [True, False]


def test_criterion_of_the_last_sequences(monkeypatch):
    monkeypatch.setattr(experiments, "RECENT", 3)
    criterion = experiments.RecentlyCorrect(0.04, 0.01)

    def one(error):
        return experiments.Sequences(*[None] * 5, targets=np.zeros((1, 1))), np.array([[error]])

    met = [
        criterion(None, outputs, sequences)
        for sequences, outputs in map(one, [0.03, 0, 0, 0.0, 0.1, 0, 0, 0])
    ]
    assert met == [False, False, False, True, False, False, False, True]
    assert criterion.accurate_after == 4


# ---------------------------------------------------------------- rows that train today's layers

SMALL = {
    "copy-plateau": {"length": 10, "units": 8, "updates": 5},
    "adding": {"length": 10, "units": 8, "updates": 5},
    "forget-bias": {"length": 10, "units": 8, "updates": 5},
    "first-weights": {"length": 10, "units": 8, "updates": 5},
    "h-detach": {"length": 3, "units": 4, "updates": 3},
    "clipping": {"length": 10, "units": 8, "updates": 5},
    "parity": {"length": 5, "longer": 10, "units": 8, "updates": 5},
    "counting": {"largest": 3, "units": 4, "updates": 5},
    "addition": {"digits": 1, "units": 4, "examples": 20, "epochs": 1},
}


def test_every_row_that_trains_has_a_small_version():
    assert set(SMALL) == {one.name for one in (*training.ROWS, *h_detach.ROWS, *strings.ROWS)}


@pytest.mark.parametrize("name", SMALL)
def test_small_versions_of_training_rows(name):
    """Each runs in every condition, is the same again, and can be written as JSON."""
    found, again = (ml.reproduce(name, trials=1, **SMALL[name]) for _ in range(2))
    one_row = row.chosen(results.ROWS, name)
    assert len(found["conditions"]) == len(one_row.conditions(one_row.settings))
    for one, other in zip(found["conditions"].values(), again["conditions"].values(), strict=True):
        json.dumps(one["records"], allow_nan=False)
        assert one["records"][0]["value"] == other["records"][0]["value"]
    for band in one_row.bands:
        band.holds(found["conditions"])


def test_until_stops_at_the_mean_of_its_window():
    model = ml.Sequential([ml.Dense(1, input_shape=(2,))], seed=0)
    model.compile(ml.SGD(0.1), "mse")
    x = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    y = x @ np.array([[1.0], [2.0]], np.float32)
    until = training.train(model, iter([(x, y)] * 500), 500, below=1e-3, window=10)
    assert until.solved
    assert until.updates < 500
    assert until.mean < 1e-3
    assert len(until.losses) == 10
    assert not training.train(model, iter([(x, y)] * 5), 5).solved


def test_a_loss_that_is_not_finite_ends_the_training_in_silence(capsys):
    model = ml.Sequential([ml.Dense(1, input_shape=(2,))], seed=0)
    model.compile(ml.SGD(1e30), "mse")
    x = np.ones((4, 2), np.float32)
    until = training.train(model, iter([(x, x[:, :1])] * 50), 50)
    assert not until.solved
    assert 0 < until.updates < 50
    assert capsys.readouterr() == ("", "")


def test_draws_of_the_copy_task():
    x, y = training.copying(np.random.default_rng(0), 50, 30)
    symbols = x.argmax(axis=2)
    assert x.shape == (50, 50, 10)
    assert (symbols[:, :10] == y[:, -10:]).all()
    assert (symbols[:, :10] < 8).all()
    assert (symbols[:, 39] == 9).all()
    assert (np.delete(symbols[:, 10:], 29, axis=1) == 8).all()
    assert (y[:, :-10] == 8).all()


@pytest.mark.parametrize("detach", [0.5, 1.0])
def test_cuts_are_those_of_torch_with_detach(detach, torch):
    """The cell written by hand in PyTorch, h detached at the same steps."""
    x, y = training.copying(np.random.default_rng(1), 4, 3)
    model = h_detach.copier(detach, 3, 5, 0)
    cuts = np.random.default_rng(np.random.SeedSequence(0).spawn(2)[1]).random(23) < detach
    found = model.trace(x, y).grads
    weights = [torch.tensor(w, requires_grad=True) for w in model.get_weights()]
    W, U, b, V, a = weights
    h = c = torch.zeros(4, 5)
    logits = []
    for t in range(23):
        h = h.detach() if cuts[22 - t] else h  # a coin a step, from the last one back
        i, f, g, o = (torch.tensor(x[:, t]) @ W + h @ U + b).split(5, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        logits.append(h @ V + a)
    loss = torch.nn.functional.cross_entropy(torch.stack(logits, 1).flatten(0, 1), torch.tensor(y).flatten())
    loss.backward()
    assert 0 < cuts.sum() <= 23
    for ours, theirs in zip(found.values(), weights, strict=True):
        close = 1e-5 * theirs.grad.abs().max().item()
        np.testing.assert_allclose(ours, theirs.grad.numpy(), rtol=0, atol=close)


def test_share_that_cuts_remove():
    """All of what comes through h where every step is cut; nothing where none is."""
    x, y = training.copying(np.random.default_rng(1), 4, 3)
    plain, other, whole = (h_detach.copier(p, 3, 5, 0) for p in (0.0, 1e-300, 1.0))
    assert abs(h_detach.removed_share(plain, other, x, y)) < 1e-6
    assert 0.001 < h_detach.removed_share(plain, whole, x, y) < 1


def test_draws_of_the_adding_task():
    x, y = training.adding_pairs(np.random.default_rng(0), 200_000, 10)
    assert (x[..., 1].sum(axis=1) == 2).all()
    assert (x[:, :5, 1].sum(axis=1) == 1).all()
    np.testing.assert_allclose((x[..., 0] * x[..., 1]).sum(axis=1), y[:, 0], rtol=1e-6)
    assert ((y - 1) ** 2).mean() == pytest.approx(1 / 6, abs=2e-3)


def test_draws_of_the_order_of_symbols():
    x, y = training.order_of_symbols(np.random.default_rng(0), 500, 50)
    symbols = x.argmax(axis=2)
    for one, label in zip(symbols, y, strict=True):
        places = np.flatnonzero(one < 2)
        assert len(places) == 2
        assert 5 <= places[0] < 10
        assert 25 <= places[1] < 30
        assert label == 2 * one[places[0]] + one[places[1]]
    assert set(symbols.ravel()) == set(range(6))


def test_questions_of_the_addition():
    for reverse in (False, True):
        x, y = strings.questions(np.random.default_rng(0), 300, 2, reverse)
        asked = {"".join(strings.CHARACTERS[k] for k in one) for one in x.argmax(axis=2)}
        assert len(asked) == 300
        for one, answer in zip(x.argmax(axis=2), y, strict=True):
            text = "".join(strings.CHARACTERS[k] for k in one)[:5]
            a, b = (text[::-1] if reverse else text).split("+")
            assert int(a) + int(b) == int("".join(strings.CHARACTERS[k] for k in answer))
    with pytest.raises(ValueError, match="they and a tenth to test are at most 100, got 92"):
        strings.addition(0, reverse=True, digits=1, units=4, examples=92, epochs=1)


def test_vowels_without_their_package(monkeypatch):
    monkeypatch.setattr(vowels, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="pip install --no-deps aeon"):
        ml.reproduce("vowels")


def test_vowels_with_their_package():
    """Sizes and lengths of the published split, and a few epochs."""
    if vowels.find_spec("aeon") is None:
        pytest.skip("aeon asks for an older Numba: pip install --no-deps aeon")
    for part, count, longest in (("TRAIN", 270, 26), ("TEST", 370, 29)):
        sequences, labels = vowels.load(part)
        lengths = [len(one) for one in sequences]
        assert (len(sequences), min(lengths), max(lengths)) == (count, 7, longest)
        assert {one.shape[1] for one in sequences} == {12}
        assert set(labels) == set(range(9))
    assert np.bincount(labels).tolist() == [31, 35, 88, 44, 29, 24, 40, 50, 29]
    assert ml.reproduce("vowels", trials=1, units=20, epochs=5)["mean"] > 88 / 370  # the largest class


# ---------------------------------------------------------------- the command


def command(capsys, *arguments):
    code = cli.main(["reproduce", *map(str, arguments)])
    return code, *capsys.readouterr()


def test_command_goes_on_where_it_stopped(rows, tmp_path, capsys):
    out = tmp_path / "out"
    code, text, progress = command(capsys, "--all", "--quick", "--jobs", 1, "--out", out)
    assert code == 0
    assert "coin: Heads." in text
    assert "quick: fewer trials than were published" in text
    assert progress.count("coin, seed") == 4
    journal = (out / "results.jsonl").read_text().splitlines()
    assert len(journal) == 5
    (out / "results.jsonl").write_text("\n".join(journal[:-1]) + '\n{"row": "co')
    code, text, progress = command(capsys, "coin", "--jobs", 1, "--out", out, "--json")
    assert code == 0
    assert "minilstm: warning: the last line of" in progress
    assert "4 of 8 trials were finished before" in progress
    assert progress.count("coin, seed") == 4
    (found,) = json.loads(text)
    assert found == json.loads((out / "results.json").read_text())[0]
    page = (out / "table.md").read_text()
    assert "| coin | Heads. nobody. | half | 1: 2/4 solved, 101 [100, 102] wrong 1.0, at most 2<br>2:" in page
    assert "- coin: holds (none): holds" in page
    report = (out / "report.html").read_text()
    assert "<h2>coin: reproduced</h2>" in report
    assert report.count("data:image/png;base64,") == 1
    assert 'alt="coin: points, each trial a dot' in report
    assert found["conditions"]["2"]["trials"] == 4


@pytest.mark.parametrize(("columns", "sources"), [(80, False), (120, True)])
def test_a_narrow_terminal_has_no_column_of_sources(rows, tmp_path, capsys, monkeypatch, columns, sources):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    _, text, _ = command(capsys, "exact", "--jobs", 1, "--out", tmp_path)
    assert ("source" in text) is sources


def test_a_row_that_fails_keeps_the_others(rows, tmp_path, capsys, monkeypatch):
    def diverges(seed, **settings):
        if seed == 1:
            raise ml.NonFiniteError("the loss is nan")
        return coin(seed, **settings)

    bad = some_row(name="bad", run=diverges)
    monkeypatch.setattr(reproduce, "ROWS", (bad, *rows))
    code, text, errors = command(capsys, "--all", "--jobs", 1, "--out", tmp_path, "--json")
    assert code == 1
    assert "minilstm: error: bad: the loss is nan" in errors
    assert [found["name"] for found in json.loads(text)] == ["coin", "exact"]
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == 10


def test_ctrl_c_and_a_full_disk_keep_what_is_finished(rows, tmp_path, capsys, monkeypatch):
    def stops(seed, **settings):
        if seed == 2:
            raise KeyboardInterrupt
        return coin(seed, **settings)

    monkeypatch.setattr(reproduce, "ROWS", (some_row(run=stops),))
    code, _, errors = command(capsys, "coin", "--jobs", 1, "--out", tmp_path)
    assert code == 130
    assert "finished trials are kept, the same command goes on" in errors
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == 2
    monkeypatch.setattr(reproduce, "ROWS", rows)

    def full(path, line):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(reproduce.files, "append_line", full)
    code, _, errors = command(capsys, "coin", "--jobs", 1, "--out", tmp_path)
    assert code == 1
    assert "No space left on device" in errors


def test_page_escapes_and_draws_only_several_trials():
    found = ml.reproduce("weight-counts") | {"claim": "a < b & c"}
    text = reproduce_page.page([found], [["<15>"]])
    assert "a &lt; b &amp; c" in text
    assert "&lt;15&gt;" in text
    assert "<img" not in text
    assert reproduce_page.figure(found) is None
    assert reproduce_page.figure(ml.reproduce("carousel", length=20)).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "name must be 'coin' or 'exact', got 'nothing'"),
        ([], "which rows? give names, --all, or --list to see them"),
        (["coin", "--all"], "give names of rows or --all, not both"),
    ],
)
def test_requests_that_cannot_be_meant(rows, tmp_path, capsys, arguments, message):
    code, _, errors = command(capsys, *arguments, "--out", tmp_path)
    assert code == 2
    assert message in errors
    assert errors.count("\n") == 1


def test_results_of_another_version_or_kind_are_refused(rows, tmp_path, capsys):
    lines = {"row": "coin", "settings": {}, "minilstm": "0.0.0", "seed": 0}, {"length": 5}
    for line, message in zip(
        lines, ("it is of minilstm 0.0.0; choose another folder", "damaged"), strict=True
    ):
        (tmp_path / "results.jsonl").write_text(json.dumps(line) + "\n")
        code, _, errors = command(capsys, "coin", "--out", tmp_path)
        assert code == 2
        assert message in errors


@pytest.mark.parametrize(
    ("field", "value"),
    [("value", "5"), ("solved", None), ("seconds", None), ("wrong", [1]), ("seed", "0"), ("settings", [])],
)
def test_a_damaged_trial_is_refused_with_its_line(rows, tmp_path, capsys, field, value):
    assert command(capsys, "coin", "--jobs", 1, "--quick", "--out", tmp_path)[0] == 0
    journal = tmp_path / "results.jsonl"
    lines = journal.read_text().splitlines()
    lines[1] = json.dumps(json.loads(lines[1]) | {field: value})
    journal.write_text("\n".join(lines) + "\n")
    code, _, errors = command(capsys, "coin", "--out", tmp_path)
    assert code == 2
    assert errors == f"minilstm: error: {journal}:2 is damaged: {field} is {value!r}\n"


def test_a_trial_that_lacks_what_its_band_reads_is_refused(rows, tmp_path, capsys, monkeypatch):
    band = Band("has", "none", lambda found: found[1]["records"][0]["baseline"] > 0)
    monkeypatch.setattr(reproduce, "ROWS", (some_row(bands=(band,)),))
    code, _, errors = command(capsys, "coin", "--jobs", 1, "--quick", "--out", tmp_path)
    assert code == 2
    assert "is damaged: a trial of coin has no fit 'baseline'; choose another folder" in errors


def test_numbers_that_are_not_finite_are_a_failed_trial(rows, tmp_path, capsys, monkeypatch):
    def diverges(seed, **settings):
        return {"value": float("nan"), "solved": True, "parts": [1.0, float("inf")]}

    monkeypatch.setattr(reproduce, "ROWS", (some_row(run=diverges),))
    code, text, _ = command(capsys, "coin", "--jobs", 1, "--quick", "--out", tmp_path, "--json")
    assert code == 0
    (one, *_) = json.loads(text)[0]["conditions"]["1"]["records"]
    assert (one["value"], one["solved"], one["parts"]) == (None, False, [1.0, None])


def test_list_names_every_row(capsys):
    code, text, _ = command(capsys, "--list")
    assert code == 0
    assert all(one.name in text for one in results.ROWS)
    code, text, _ = command(capsys, "--list", "--json")
    assert [one["name"] for one in json.loads(text)] == [one.name for one in results.ROWS]
    assert json.loads(text)[0]["trials"] == 3


def test_workers_run_trials(tmp_path, capsys):
    """In processes of their own, where the rows are the real ones."""
    code, text, _ = command(capsys, "weight-counts", "--trials", 2, "--jobs", 2, "--out", tmp_path, "--json")
    assert code == 0
    assert [one["value"] for one in json.loads(text)[0]["conditions"]["None"]["records"]] == [15, 15]
