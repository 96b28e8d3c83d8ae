"""One test body for both engines of the step loop: the plain one (NumPy) and the compiled one (kernels).

`test_steps` and `test_kernels` call these functions with their own engine.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import oracle
from tolerances import PARITY, check

from minilstm.bptt.cell import Weights
from minilstm.bptt.engine import Engine
from minilstm.bptt.lstm import LSTMCell

LSTM = LSTMCell()

# T, B, D, H, mask: unequal sizes, every size 1 once, and every kind of mask
CASES = [
    (4, 3, 2, 5, "none"),
    (1, 3, 2, 4, "none"),
    (5, 1, 3, 2, "random"),
    (3, 4, 1, 2, "random"),
    (4, 3, 2, 1, "random"),
    (1, 1, 1, 1, "none"),
    (5, 4, 3, 2, "pre"),
    (5, 4, 3, 2, "post"),
    (4, 5, 2, 3, "first"),
    (4, 6, 2, 3, "rows"),
    (3, 4, 2, 3, "all"),
]
IDS = ["-".join(map(str, case)) for case in CASES]


def case_of(shape: tuple[int, int, int, int, str]) -> oracle.Case:
    T, B, D, H, mask = shape
    return oracle.draw(np.random.default_rng([T, B, D, H, len(mask)]), T, B, D, H, mask)


def as_dtype(case: oracle.Case, dtype: str) -> oracle.Case:
    return oracle.Case(*[part if part is None or part.dtype == bool else part.astype(dtype) for part in case])


def forward(engine: Engine, case: oracle.Case, keep: str = "everything") -> SimpleNamespace:
    """The case as one segment: its states and gates by name."""
    packed = engine.pack(LSTM, Weights(case.W, case.U, case.b), None)
    segment = engine.forward_segment(packed, case.x, case.mask, (case.h0, case.c0), keep)
    h, c = segment.states
    gates = np.concatenate(segment.kept, axis=-1)
    return SimpleNamespace(
        packed=packed, segment=segment, h=h, c=c, gates=gates, last_state=segment.last_state
    )


def backward(engine: Engine, done: SimpleNamespace, external, dstate, **options: bool) -> SimpleNamespace:
    """The gradients of a forward pass, by name."""
    found = engine.backward_segment(done.packed, done.segment, external, dstate, **options)
    dh, dc = found.dtotal or (None, None)
    (dh0, dc0), w = found.dstate, found.dweights
    return SimpleNamespace(dW=w.W, dU=w.U, db=w.b, dx=found.dx, dz=found.dz, dh=dh, dc=dc, dh0=dh0, dc0=dc0)


def passes(engine: Engine, case: oracle.Case, **options: bool):
    """Forward and backward over the case as one segment: the segment and its gradients."""
    done = forward(engine, case)
    wanted = {"need_dx": True, "record": True, "overwrite": False} | options
    return done, backward(engine, done, case.dh, (case.dh_last, case.dc_last), **wanted)


def check_forward(engine: Engine, shape, dtype: str) -> None:
    """States and gates of every step are those of the oracle."""
    case = as_dtype(case_of(shape), dtype)
    segment, _ = passes(engine, case)
    expected = oracle.run(as_dtype(case, "float64"))
    bound = PARITY[dtype]
    assert segment.h.dtype == segment.c.dtype == segment.gates.dtype == dtype
    check(segment.h, expected.h, bound, steps=0, what="h")
    check(segment.c, expected.c, bound, steps=0, what="c")
    check(segment.gates, np.concatenate(expected[2:], axis=-1), bound, steps=0, what="gates")
    assert (segment.last_state[0] == segment.h[-1]).all()
    assert (segment.last_state[1] == segment.c[-1]).all()
    if case.mask is not None:  # held bit for bit
        for state in (segment.h, segment.c):
            assert (state[1:][~case.mask] == state[:-1][~case.mask]).all()


def check_backward(engine: Engine, shape, dtype: str) -> None:
    """Every gradient is that of the complex step through the oracle."""
    case = as_dtype(case_of(shape), dtype)
    _, found = passes(engine, case)
    expected = oracle.gradients(as_dtype(case, "float64"))
    bound = PARITY[dtype]
    check(found.dW, expected["W"], bound, what="dW")
    check(found.dU, expected["U"], bound, what="dU")
    check(found.db, expected["b"], bound, what="db")
    check(found.dx, expected["x"], bound, steps=0, what="dx")
    check(found.dh0, expected["h0"], bound, what="dh0")
    check(found.dc0, expected["c0"], bound, what="dc0")
    check(found.dh, expected["h"], bound, steps=0, what="dh")
    check(found.dc, expected["c"], bound, steps=0, what="dc")
    if case.mask is not None:
        assert not found.dz[~case.mask].any()
        assert not found.dx[~case.mask].any()


def check_overwrite(engine: Engine, shape) -> None:
    """Writing over the tape gives the same bits; not writing over it leaves the tape alone."""
    case = case_of(shape)
    segment, found = passes(engine, case)
    again, _ = passes(engine, case)
    for name in ("h", "c", "gates"):
        np.testing.assert_array_equal(getattr(segment, name), getattr(again, name))
    _, other = passes(engine, case, overwrite=True)
    for name in ("dW", "dU", "db", "dx", "dz", "dh", "dc"):
        np.testing.assert_array_equal(getattr(found, name), getattr(other, name), err_msg=name)


def check_optional_parts(engine: Engine, shape) -> None:
    """What is not asked for is None, and the rest does not depend on it."""
    case = case_of(shape)
    _, full = passes(engine, case)
    _, bare = passes(engine, case, need_dx=False, record=False)
    assert bare.dx is bare.dz is bare.dh is bare.dc is None
    for name in ("dW", "dU", "db"):
        np.testing.assert_array_equal(getattr(full, name), getattr(bare, name), err_msg=name)
    zero = np.zeros_like(case.h0), np.zeros_like(case.c0)
    options = {"need_dx": True, "record": False, "overwrite": False}
    silent = backward(engine, forward(engine, case), None, zero, **options)
    for array in (silent.dW, silent.dU, silent.db, silent.dx, silent.dh0, silent.dc0):
        assert not array.any()


def check_without_keep(engine: Engine, shape) -> None:
    """Keeping less gives the same outputs and the same last state, bit for bit."""
    case = case_of(shape)
    kept, states, end = (forward(engine, case, keep) for keep in ("everything", "outputs", "boundaries"))
    np.testing.assert_array_equal(kept.h, states.h)
    for slim in (states, end):
        np.testing.assert_array_equal(kept.last_state[0], slim.last_state[0])
        np.testing.assert_array_equal(kept.last_state[1], slim.last_state[1])


def check_nan_stays_in_its_row(engine: Engine) -> None:
    """NaN in one sample makes that sample NaN from its step on, and no other sample."""
    case = case_of((4, 3, 2, 5, "none"))
    case.x[1, 2, 0] = np.nan
    segment, _ = passes(engine, case)
    bad = np.isnan(segment.h).any(axis=-1)  # (T+1, B)
    expected = np.zeros((5, 3), bool)
    expected[2:, 2] = True
    np.testing.assert_array_equal(bad, expected)


def check_inputs_untouched(engine: Engine, shape) -> None:
    """Forward and backward write to none of their inputs."""
    case = case_of(shape)
    before = [None if part is None else part.tobytes() for part in case]
    passes(engine, case, overwrite=True)
    assert before == [None if part is None else part.tobytes() for part in case]
