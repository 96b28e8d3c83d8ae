"""check_step and check_sequence: every planted bug caught, its cause named, and no false alarm."""

from __future__ import annotations

import json
import re
import warnings

import bug_zoo as zoo
import numpy as np
import pytest

from minilstm.gradient_check import adapters
from minilstm.gradient_check.student import check as student
from minilstm.gradient_check.student.check import check_sequence, check_step

CORRECT = {cell: zoo.functions(source) for cell, source in zoo.REFERENCES.items()}
BATCH = 4


def changed(old, new, cell="lstm"):
    return zoo.functions(zoo.Bug("", old, new, cell=cell).source)


def check(functions, cell="lstm", **options):
    return check_sequence(functions["forward"], functions["backward"], cell, **options)


def step(functions, **options):
    return check_step(functions["step_forward"], functions["step_backward"], **options)


NUMBERS = {}


def caught(bug, length, monkeypatch):
    """The report on a bug; numbers are made once for each forward pass, which they depend on alone."""
    original = student.derivatives
    reference = zoo.functions(zoo.REFERENCES[bug.cell])["forward"]

    def derivatives(functions, case, losses, known, report):
        same = functions.forward(case.values)
        right = student.Functions(reference, functions._backward, case, student.Told()).forward(case.values)
        if any(not np.array_equal(same[name], right[name]) for name in same):
            return original(functions, case, losses, known, report)
        key = bug.cell, case.values["x"].shape, case.mask is None
        if key not in NUMBERS:
            NUMBERS[key] = original(functions, case, losses, known, report)
        return NUMBERS[key]

    monkeypatch.setattr(student, "derivatives", derivatives)
    mask = zoo.mask_for(bug, BATCH, length)
    return check(zoo.functions(bug.source), bug.cell, length=length, batch=BATCH, mask=mask)


# ------------------------------------------------------------------------------ the zoo


def test_the_zoo_is_large():
    assert len(zoo.BUGS) >= 75
    assert len({bug.name for bug in zoo.BUGS}) == len(zoo.BUGS)


def test_every_bug_says_where_its_kind_was_seen():
    for bug in zoo.BUGS:
        assert bug.seen == zoo.OWN or re.fullmatch(r"[\w.-]+/[\w.-]+(#\d+|, in \w+\.py)", bug.seen), bug.name
    assert sum(bug.seen != zoo.OWN for bug in zoo.BUGS) >= 45


@pytest.mark.parametrize("length", [40, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("bug", zoo.BUGS, ids=[bug.name for bug in zoo.BUGS])
def test_every_bug_is_caught_and_named(bug, length, monkeypatch):
    report = caught(bug, length, monkeypatch)
    assert not report.ok
    assert any(bug.names_cause in cause for cause in report.causes), str(report)
    assert report.fault is None
    assert report.worst.error > report.tolerance or "not linear" in report.verdict
    assert not [cause for cause in report.causes[1:] if not cause.startswith("perhaps")]
    json.dumps(report.to_dict(), allow_nan=False)


@pytest.mark.parametrize("cell", CORRECT)
@pytest.mark.parametrize("length", [1, 2, 40])
def test_correct_code_passes(cell, length):
    report = check(CORRECT[cell], cell, length=length)
    assert report.ok, str(report)
    assert report.max_error < 1e-12
    mask = np.random.default_rng(0).random((BATCH, length)) < 0.6
    assert check(CORRECT[cell], cell, length=length, mask=mask).ok


@pytest.mark.slow
def test_500_random_correct_configurations_raise_no_alarm():
    rng = np.random.default_rng(0)
    for seed in range(500):
        cell = rng.choice(list(CORRECT))
        T, B, D, H = (int(rng.integers(1, top)) for top in (5, 4, 4, 4))
        mask = rng.random((B, T)) < 0.7 if rng.random() < 0.4 else None
        options = {"length": T, "batch": B, "features": D, "units": H, "mask": mask, "seed": seed}
        report = check(CORRECT[cell], cell, **options)
        assert report.ok, f"{cell} {options}\n{report}"


def test_two_mistakes_at_once_are_both_named():
    source = zoo.LSTM.replace("di = dc * g", "di = dc * i").replace("dU = h_prev.T @ dz", "dU = h.T @ dz")
    report = check(zoo.functions(source), length=10)
    assert sorted(cause[:10] for cause in report.causes) == ["di uses i ", "h_t used w"]


# ------------------------------------------------------------------------------ one step


def test_a_step():
    assert step(CORRECT["lstm"]).ok
    report = step(changed("dc_prev = dc * f", "dc_prev = dc"))
    assert [one.name for one in report.wrong] == ["dc_prev"]
    assert report.causes == ["missing forget-gate path: dc is passed on without the factor f"]
    assert "dc_prev. First wrong entry: sample 0, unit 0: backward gives" in report.verdict


def test_where_it_is_wrong_is_said_by_gate_and_step():
    report = step(changed("di = dc * g", "di = dc * i"))
    assert "dW, gate i. First wrong entry: row 0, column 0" in report.verdict
    report = check(
        changed("for t in reversed(range(T)):", "for t in reversed(range(max(0, T - 7), T)):"), length=10
    )
    assert report.causes == ["truncated after 7 steps: steps 0 to 2 get no gradient"]
    assert "dx: right from step 9 back to 3, wrong at step 2 (3 of 10 steps are wrong)" in report.verdict


EVERY_16 = "truncated after 16 steps: the gradient is cut at every 16. step"


@pytest.mark.parametrize(
    ("where", "length", "words"),
    [
        ("t % 16 == 0", 40, f"{EVERY_16}, counted from the start"),
        ("t % 16 == 0", 48, EVERY_16),
        ("(T - t) % 16 == 0", 40, f"{EVERY_16}, counted from the end"),
        ("t == 16", 40, "truncated: the gradient is cut before step 16, and nowhere else"),
        ("t % 16 == 0", 20, "truncated: the gradient is cut before step 16, and nowhere else"),
        ("t in (7, 20, 31)", 40, "truncated: the gradient is cut before steps 7, 20, 31"),
    ],
)
def test_where_the_gradient_is_cut_is_told_from_where_that_of_each_step_ends(where, length, words):
    end = "        dx[:, t] = dx_t"
    functions = changed(end, f"{end}\n        if {where}: dh_next, dc_next = 0 * dh_next, 0 * dc_next")
    assert check(functions, length=length).causes == [words]


def test_a_gradient_that_goes_a_fixed_way_back_from_each_step():
    right = CORRECT["simple_rnn"]

    def backward(dh, cache):
        """Each step's loss by itself, seven steps back and no further."""
        total = None
        for step in range(dh.shape[1]):
            alone = np.zeros_like(dh)
            alone[:, step] = dh[:, step]
            found = right["backward"](alone, cache)
            found[0][:, : max(0, step - 6)] = 0
            total = found if total is None else [a + b for a, b in zip(total, found, strict=True)]
        return total

    report = check({"forward": right["forward"], "backward": backward}, "simple_rnn", length=20)
    assert report.causes == ["truncated after 7 steps: what the loss says of a step goes back no further"]


def test_gates_in_another_order():
    """CS231n's order is i, f, o, g: told as such, and right when it is asked for."""
    source = zoo.LSTM.replace("z_i, z_f, z_g, z_o = np", "z_i, z_f, z_o, z_g = np")
    source = source.replace("[dz_i, dz_f, dz_g, dz_o]", "[dz_i, dz_f, dz_o, dz_g]")
    functions = zoo.functions(source)
    assert step(functions, gates="ifog").ok
    report = step(functions)
    assert report.ok
    assert report.notes == [
        "the forward pass is this package's: its gates stand in the order i, f, o, g (say gates='ifog')"
    ]
    assert not step(functions, strict=True).ok
    assert step(functions, strict=True, gates="ifog").ok
    wrong = zoo.functions(source.replace("df = dc * c_prev", "df = dc * c"))
    assert step(wrong).causes == ["df uses c_t where c_{t-1} belongs: off by one step"]
    assert step(wrong, gates="ifog").causes == ["df uses c_t where c_{t-1} belongs: off by one step"]


# ------------------------------------------------------------------------------ a wrong forward pass


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("h = o * np.tanh(c)", "h = o * c", "tanh of the cell state is missing"),
        ("c = f * c_prev + i * g", "c = i * g", "c_prev is missing"),
        ("np.tanh(z_g), sigmoid(z_o)", "sigmoid(z_g), sigmoid(z_o)", "sigmoid instead of tanh"),
        ("z = x @ W + h_prev @ U + b", "z = x @ W + h_prev @ U", "the bias is missing"),
        ("z = x @ W + h_prev @ U + b", "z = x @ W + h_prev @ U + 2 * b", "h and c are not this cell's"),
    ],
)
def test_a_wrong_forward_pass_is_told_apart(old, new, words):
    report = step(changed(old, new))
    assert not report.ok
    (note,) = [note for note in report.notes if note.startswith("the forward pass is not this package's: ")]
    assert words in note
    assert max(one.max_error for one in report.forward) > 1e-3
    assert "forward h" not in [one.name for one in report.comparisons]


def test_a_right_backward_of_a_wrong_forward_is_right():
    """A cell without its output tanh, and the backward pass that belongs to it."""
    source = zoo.LSTM.replace("h = o * np.tanh(c)", "h = o * c").replace("tanh_c = np.tanh(c)", "tanh_c = c")
    functions = zoo.functions(source.replace("(1 - tanh_c ** 2)", "1.0"))
    report = step(functions)
    assert report.ok
    assert report.causes == []
    assert report.notes == [
        "the forward pass is not this package's: h = o * c: tanh of the cell state is missing"
    ]
    assert not step(functions, strict=True).ok
    assert "But strictly: forward h differs." in step(functions, strict=True).verdict


# ------------------------------------------------------------------------------ code that cannot be complex


def test_a_forward_pass_that_is_not_complex_safe():
    """Buffers of float64 raise, abs drops the imaginary part; both are found, and ours stands in."""
    buffered = changed(
        "    c = f * c_prev + i * g\n", "    c = np.empty(f.shape); c[:] = f * c_prev + i * g\n"
    )
    report = step(buffered)
    assert report.ok, str(report)
    assert "forward cannot be used on complex numbers (forward raised ComplexWarning" in report.notes[0]
    silent = changed("i, f, g, o = sigmoid(z_i)", "i, f, g, o = abs(sigmoid(z_i))")
    report = step(silent)
    assert report.ok, str(report)
    assert "the imaginary part of h is lost" in report.notes[0]
    wrong = zoo.functions(
        zoo.Bug("", "i, f, g, o = sigmoid(z_i)", "i, f, g, o = abs(sigmoid(z_i))").source.replace(
            "di = dc * g", "di = dc * i"
        )
    )
    assert step(wrong).causes == ["di uses i where g belongs"]


def test_neither_complex_safe_nor_ours_falls_back_to_central_differences():
    functions = changed("h = o * np.tanh(c)", "h = o.real * np.tanh(c.real) * 0.5")
    report = step(functions)
    assert report.method == "central differences"
    assert "see only large gradients" in report.notes[0]
    assert not report.ok
    right = zoo.functions(
        zoo.LSTM.replace("h = o * np.tanh(c)", "h = 0.5 * o.real * np.tanh(c.real)").replace(
            "do = dh * tanh_c", "dh = 0.5 * dh; do = dh * tanh_c"
        )
    )
    report = step(right)
    assert report.ok, str(report)
    assert "h is 0.5 times this cell's" in report.notes[-1]


# ------------------------------------------------------------------------------ what students' code does


@pytest.mark.parametrize(
    ("old", "new", "fault", "cause"),
    [
        (
            "do = dh * tanh_c",
            "do = dh / missing",
            "backward raised NameError: name 'missing' is not defined",
            None,
        ),
        (
            "    h = o * np.tanh(c)\n    return",
            "    raise SystemExit\n    return",
            "forward raised SystemExit",
            None,
        ),
        (
            "db = dz.sum(axis=0)",
            "db = dz",
            "backward must return db of shape (12,), got (4, 12)",
            "db is not accumulated over the batch",
        ),
        (
            "dW = x.T @ dz",
            "dW = (x.T @ dz).T",
            "backward must return dW of shape (2, 12), got (12, 2)",
            "dW is transposed",
        ),
        (
            "return dx, dh_prev, dc_prev, dW, dU, db\n",
            "return dx, dh_prev, dc_prev, dW, dU, db, db\n",
            "backward must return 6 values (dx, dh, dc, dW, dU, db), got 7",
            None,
        ),
        ("return dx, dh_prev, dc_prev, dW, dU, db\n", "return 3\n", "got int", None),
        (
            "return dx, dh_prev, dc_prev, dW, dU, db\n",
            "return 'dx', dh_prev, dc_prev, dW, dU, db\n",
            "dx as an array of numbers, got str",
            None,
        ),
        (
            "return h, c, (x,",
            "return h[:1], c, (x,",
            "forward must return h of shape (4, 3), got (1, 3)",
            None,
        ),
    ],
)
def test_faults(old, new, fault, cause):
    report = step(changed(old, new))
    assert not report.ok
    assert fault in report.verdict, report.verdict
    assert report.causes == [] or cause in report.causes[0]
    assert (cause is None) == (report.causes == [])
    assert np.isinf(report.max_error)
    json.dumps(report.to_dict(), allow_nan=False)


def test_an_exception_is_told_with_its_line(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(zoo.LSTM.replace("do = dh * tanh_c", "do = dh / missing"))
    namespace = {}
    exec(compile(path.read_text(), str(path), "exec"), namespace)
    report = step(namespace)
    assert "(mine.py, line 19: do = dh / missing)" in report.verdict
    assert isinstance(report.exception, NameError)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("    do = dh * tanh_c\n", "    do = dh * tanh_c; dh *= 1\n", None),
        ("    dx = dz @ W.T\n", "    dx = dz @ W.T; dh *= 2\n", "backward modifies its input dh"),
        ("    dx = dz @ W.T\n", "    dx = dz @ W.T; i *= 2\n", "it changes its cache"),
        ("    dx = dz @ W.T\n", "    dx = dz @ W.T; print('dx')\n", "backward prints while it runs: 'dx'"),
        ("    h = o * np.tanh(c)\n", "    h = o * np.tanh(c); x += 1\n", "forward modifies its input x"),
        (
            "    c = f * c_prev + i * g\n    h = o * np.tanh(c)\n",
            "    c = f * c_prev + i * g\n    h = (o * np.tanh(c)).astype(np.float32)\n",
            "computes in float32",
        ),
    ],
)
def test_hygiene_is_told_and_counts_only_if_strict(old, new, words):
    functions = changed(old, new)
    report = step(functions)
    if words == "forward modifies its input x":  # the cache has the changed x: this gradient is wrong
        assert not report.ok
    else:
        assert report.ok, str(report)
        assert report.causes == []
    assert words is None or any(words in one for one in report.hygiene), str(report)
    assert step(functions, strict=True).ok == (words is None)


def test_a_gradient_of_nan_is_wrong():
    assert not step(changed("dx = dz @ W.T", "dx = np.full(x.shape, np.nan)")).ok


def test_none_and_what_is_absent_are_not_judged_and_said():
    for new in ("return dx, dh_prev, dc_prev, dW, dU, None\n", "return dx, dh_prev, dc_prev, dW, dU\n"):
        report = step(changed("return dx, dh_prev, dc_prev, dW, dU, db\n", new))
        assert report.ok, str(report)
        assert "no gradient of b: not judged" in report.notes
    nothing = changed("return dx, dh_prev, dc_prev, dW, dU, db\n", "return [None] * 6\n")
    assert step(nothing).fault == "backward returned no gradient: every one is None."


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"cell": "rnn"}, ValueError, "cell must be 'lstm' or 'gru' or 'simple_rnn', got 'rnn'"),
        ({"gates": "ifgg"}, ValueError, "gates must be the letters ifgo in some order, got 'ifgg'"),
        ({"batch": 0}, ValueError, "batch must be a whole number >= 1, got 0"),
        ({"tolerance": -1}, ValueError, "tolerance must be a finite number > 0, got -1"),
        ({"forward": 3}, TypeError, "forward must be a function, got int"),
        ({"forward": {}}, TypeError, "forward must be a function, got dict"),
        ({"inputs": "x h z"}, ValueError, "inputs must be of the names x, h, c, W"),
        ({"outputs": ["y"]}, ValueError, "outputs must be of the names h, c, h_last"),
        ({"length": 2.5}, TypeError, "length must be a whole number >= 1, got 2.5"),
        ({"mask": [[1, 0]]}, ValueError, "mask must be of shape"),
        ({"mask": np.full((4, 40), 2)}, ValueError, r"mask must be of True and False \(or 1 and 0\), got 2"),
    ],
)
def test_bad_arguments(options, error, text):
    given = {"forward": CORRECT["lstm"]["forward"], "backward": CORRECT["lstm"]["backward"]} | options
    with pytest.raises(error, match=text):
        check_sequence(**given)


def test_warnings_of_a_student_s_code_do_not_stop_the_check():
    noisy = changed("do = dh * tanh_c", "np.log(np.zeros(1)); do = dh * tanh_c")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert step(noisy).ok


@pytest.mark.parametrize("name", [
    "blocks", "column", "columns", "course", "dictionary", "gates", "ids", "listed", "pytorch", "separate",
    "single", "states", "time_major",
])  # fmt: skip
def test_an_adapter_of_no_function_is_refused_at_once(name):
    adapter = getattr(adapters, name)
    with pytest.raises(TypeError, match="forward must be a function, got 3"):
        adapter(3, print)
    with pytest.raises(TypeError, match="backward must be a function, got None"):
        adapter(forward=print, backward=None)


MASKED = """
def forward(x, h0, W, U, b, mask):
    hs = [h0]
    for t in range(x.shape[1]):
        hs.append(np.where(mask[:, t, None], np.tanh(x[:, t] @ W + hs[-1] @ U + b), hs[-1]))
    return np.stack(hs[1:], axis=1), (x, hs, W, U, b, mask)

def backward(dout, cache):
    x, hs, W, U, b, mask = cache
    dx, dW, dU, db, later = np.zeros_like(x), 0, 0, 0, 0
    for t in reversed(range(x.shape[1])):
        m = mask[:, t, None]
        dh = dout[:, t] + later
        free = dh * (1 - np.tanh(x[:, t] @ W + hs[t] @ U + b) ** 2)
        dz = m * free
        dx[:, t] = dz @ W.T
        dW, dU, db = dW + x[:, t].T @ dz, dU + hs[t].T @ dz, db + dz.sum(0)
        later = np.where(m, dz @ U.T, dh)
    return dx, later, dW, dU, db
"""


@pytest.mark.parametrize(
    ("right", "wrong", "cause"),
    [
        ("@ U.T, dh)", "@ U.T, later)", "at a masked step the dh of later steps is passed on as dh_prev"),
        (
            "np.where(m, dz @ U.T, dh)",
            "np.where(m, dh, dz @ U.T)",
            "the mask is taken the wrong way round in dh",
        ),
        ("dU + hs[t].T", "dU + hs[0].T", "the first h used where h_prev belongs in the gradient of U"),
        ("dx, later, dW", "dx, 0 * later, dW", "the gradient of the initial state is left at 0"),
        ("dx, later, dW", "dx, dh, dW", "the gradient of the first h is dh of step 0"),
    ],
)
def test_mistakes_at_masked_steps_and_at_the_start(right, wrong, cause):
    scope = {"np": np}
    assert MASKED.count(right) == 1
    exec(MASKED, scope)
    mask = np.random.default_rng(5).random((4, 9)) < 0.6
    mask[0, :2], mask[1], mask[2, -2:] = False, True, False
    assert check_sequence(scope["forward"], scope["backward"], "simple_rnn", length=9, mask=mask).ok
    exec(MASKED.replace(right, wrong), scope)
    report = check_sequence(scope["forward"], scope["backward"], "simple_rnn", length=9, mask=mask)
    assert not report.ok
    assert any(cause in one for one in report.causes), report.causes
