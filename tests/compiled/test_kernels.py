"""The compiled step loop against the oracle: every size and mask, what stands in the panels, norms.

All of this file passes with NUMBA_DISABLE_JIT=1 too, where the kernels run as Python and check every index.
"""

from __future__ import annotations

import engine_cases as body
import numpy as np
import oracle
import pytest
from interpreted import compiled_only
from numba import njit
from tolerances import PARITY, check

from minilstm.bptt.cell import Weights
from minilstm.bptt.engine import PLAIN
from minilstm.bptt.gru import GRUCell
from minilstm.bptt.lstm import LSTMCell
from minilstm.bptt.simple_rnn import SimpleRNNCell
from minilstm.compiled import chunks, engines, jit, memory, recording
from minilstm.foundations.norms import norm, step_norms

DTYPES = ["float32", "float64"]
CELLS = {"lstm": LSTMCell(), "gru": GRUCell(), "simple_rnn": SimpleRNNCell()}

ENGINE = engines.engine_of("numba")
on_cases = pytest.mark.parametrize("shape", body.CASES, ids=body.IDS)
on_dtypes = pytest.mark.parametrize("dtype", DTYPES)
on_names = pytest.mark.parametrize("name", CELLS)


# ------------------------------------------------------------------------------ segments


@on_cases
@on_dtypes
def test_forward_is_the_oracle_s(shape, dtype):
    body.check_forward(ENGINE, shape, dtype)


@on_cases
@on_dtypes
def test_backward_is_the_complex_step_s(shape, dtype):
    body.check_backward(ENGINE, shape, dtype)


@on_cases
def test_overwrite_changes_nothing(shape):
    body.check_overwrite(ENGINE, shape)


@on_cases
def test_optional_parts(shape):
    body.check_optional_parts(ENGINE, shape)


@on_cases
def test_without_keep(shape):
    body.check_without_keep(ENGINE, shape)


def test_nan_stays_in_its_row():
    body.check_nan_stays_in_its_row(ENGINE)


@on_cases
def test_inputs_are_untouched(shape):
    body.check_inputs_untouched(ENGINE, shape)


@pytest.mark.parametrize("b", [1, 15, 16, 17, 33])
@pytest.mark.parametrize("mask", ["none", "random"])
def test_sizes_around_the_chunk(b, mask):
    """Kernels and NumPy agree at and around 16 samples, and at sizes that fill no vector register."""
    case = oracle.draw(np.random.default_rng(b), 3, b, 3, 5, mask)
    _, found = body.passes(ENGINE, case)
    _, expected = body.passes(PLAIN, case)
    for name in ("dW", "dU", "db", "dx", "dz", "dh", "dc"):
        check(getattr(found, name), getattr(expected, name), 1e-12, what=name)


@pytest.mark.parametrize(
    "sizes",
    [
        (17, 16, 11, 40), (3, 16, 30, 150), (2, 17, 5, 257), (2, 1, 40, 300), (2, 16, 700, 33),
        (3, 16, 1, 512), (40, 20, 2, 16), (270, 1, 3, 15), (2, 300, 2, 3),
    ],
)  # fmt: skip
@pytest.mark.parametrize("mask", ["none", "random"])
@on_dtypes
def test_sizes_whose_products_are_cut(sizes, mask, dtype):
    """Sums that are cut, panels that do not fill up, and the weights' gradient from several products."""
    T, b, D, H = sizes
    case = oracle.draw(np.random.default_rng(H), T, b, D, H, mask)
    case = case._replace(W=case.W / np.sqrt(D))
    _, expected = body.passes(PLAIN, case)
    _, found = body.passes(ENGINE, body.as_dtype(case, dtype))
    for name in ("dW", "dU", "db", "dx", "dz", "dh", "dc"):
        check(getattr(found, name), getattr(expected, name), PARITY[dtype], what=name)


def test_gates_saturate_without_warning_or_nan():
    """Pre-activations of +-1e30 close and open the gates; nothing overflows."""
    case = oracle.draw(np.random.default_rng(0), 3, 2, 2, 3)
    case = case._replace(x=case.x * 1e30)
    segment, found = body.passes(ENGINE, case)
    assert np.isfinite(segment.h).all()
    assert np.isfinite(found.dW).all()
    gates = segment.gates
    assert set(np.unique(gates.round(6))) <= {-1.0, 0.0, 1.0}


@pytest.mark.parametrize("B", [1, 15, 16, 17, 32, 33, 40, 100])
@pytest.mark.parametrize(("parallel", "most"), [(True, 16), (False, 32)])
def test_chunks_are_even_and_small(B, parallel, most):
    pieces = chunks.cut(B, parallel)
    sizes = [piece.stop - piece.start for piece in pieces]
    assert [row for piece in pieces for row in range(piece.start, piece.stop)] == list(range(B))
    assert max(sizes) <= most
    assert max(sizes) - min(sizes) <= 1
    assert len(pieces) >= 2 or not parallel or B <= 16  # two threads have work


def layer(cell, rng, D, H, dtype="float64"):
    """Weights of that cell."""
    n = len(cell.gates)
    parts = [rng.normal(size=size) * 0.5 for size in ((D, n * H), (H, n * H), n * H, n * H)]
    W, U, b, rb = (part.astype(dtype) for part in parts)
    return Weights(W, U, b, rb if cell.name == "gru" else None)


@on_names
@on_dtypes
@pytest.mark.parametrize(("D", "H"), [(10, 64), (1, 1), (5, 15), (17, 17), (40, 65)])
def test_panels_hold_the_weights_and_zeros(name, dtype, D, H):
    cell = CELLS[name]
    weights = layer(cell, np.random.default_rng(0), D, H, dtype)
    packed = memory.Packed(cell, weights)
    packed.prepare_backward(need_dx=True)
    W, U, b, rb = (part if part is None else part.reshape(*part.shape[:-1], -1, H) for part in weights[:4])
    P, n, K, NR = packed.w.shape
    forward = packed.w.transpose(1, 2, 0, 3).reshape(n, K, P * NR)
    assert name == "gru" or not forward[:, :, H:].any()  # of the GRU two parts are not used
    forward = forward[:, :, :H]
    Q = len(packed.wt)
    back = packed.wt.transpose(2, 0, 4, 1, 3).reshape(n, Q * NR, P * NR)[:, :, :H]
    of_u, of_w = back[:, : P * NR], back[:, P * NR :]
    if name == "gru":
        np.testing.assert_array_equal(forward[1:3, H], (b + rb)[:2])
        np.testing.assert_array_equal(forward[[3, 0], H], [rb[2], b[2]])
        np.testing.assert_array_equal(forward[1:, :H], U.transpose(1, 0, 2))
        np.testing.assert_array_equal(forward[[1, 2, 0], H + 1 :], W.transpose(1, 0, 2))
        of_u, of_w = of_u[1:], of_w[[1, 2, 0]]
    else:
        np.testing.assert_array_equal(forward, np.concatenate([U, b[None], W]).transpose(1, 0, 2))
    np.testing.assert_array_equal(of_u[:, :H], U.transpose(1, 0, 2))
    np.testing.assert_array_equal(of_w[:, :D], W.transpose(1, 0, 2))
    assert not of_u[:, H:].any()
    assert not of_w[:, D:].any()


@on_names
@on_dtypes
@pytest.mark.parametrize("H", [1, 15, 16, 17, 31, 33, 65])
@pytest.mark.parametrize("b", [1, 5])
def test_what_fills_up_a_panel_reaches_nothing(name, dtype, H, b):
    """Inf, NaN and huge numbers in one sample, between others, and left in memory by an earlier segment."""
    cell, S, D = CELLS[name], 3, 2
    rng = np.random.default_rng(H)
    weights = layer(cell, rng, D, H, dtype)
    x = rng.normal(size=(S, b, D)).astype(dtype)
    states = tuple(rng.uniform(-0.9, 0.9, (b, H)).astype(dtype) for _ in cell.states)
    external = rng.normal(size=(S, b, H)).astype(dtype)
    packed = memory.Packed(cell, weights)
    options = {"need_dx": True, "record": True, "overwrite": True}

    def passes(x):
        segment = memory.forward_segment(packed, x, None, states)
        h = segment.states[0].copy()
        found = memory.backward_segment(packed, segment, external, states, **options)
        return segment, [h, found.dx, found.dz, *found.dtotal, *found.dweights[:3]]

    segment, expected = passes(x)
    for array in (segment.xh, segment.z, *([] if segment.c is None else [segment.c])):
        array[...] = np.nan
    memory.release(segment)
    segment, found = passes(x)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    if b > 1:
        bad = x.copy()
        bad[0, 1] = np.inf, -np.inf
        with np.errstate(invalid="ignore"):
            found = passes(bad)[1][: 3 + len(cell.states)]
        for ours, theirs in zip(found, expected, strict=False):
            np.testing.assert_array_equal(np.delete(ours, 1, axis=1), np.delete(theirs, 1, axis=1))


@on_names
@on_dtypes
@pytest.mark.parametrize("kind", ["all", "random", "pre"])
def test_nothing_is_read_that_was_not_written(monkeypatch, name, dtype, kind):
    """New memory holds signalling NaNs, at which NumPy warns; no unit may keep one, filled up or not."""
    plain_empty, made = memory.empty, []

    def empty(shape, dtype):
        array = plain_empty(shape, dtype)
        array.view(f"u{array.itemsize}")[...] = 0x7FA00000 if array.itemsize == 4 else 0x7FF4000000000000
        made.append(array)
        return array

    monkeypatch.setattr(memory, "empty", empty)
    monkeypatch.setattr(memory, "pool", memory.Pool(limit=0))
    cell, S, b, D, H = CELLS[name], 4, 3, 2, 5
    rng = np.random.default_rng(0)
    x, external = (rng.normal(size=(S, b, size)).astype(dtype) for size in (D, H))
    mask = {
        "all": np.zeros((S, b)),
        "random": rng.random((S, b)) < 0.5,
        "pre": np.arange(S)[:, None] >= [1, 2, 4],
    }
    states = tuple(rng.uniform(-0.9, 0.9, (b, H)).astype(dtype) for _ in cell.states)
    packed = memory.Packed(cell, layer(cell, rng, D, H, dtype))
    segment = memory.forward_segment(packed, x, mask[kind].astype(bool), states)
    made.clear()
    memory.backward_segment(packed, segment, external, states, need_dx=True, record=True, overwrite=True)
    units = packed.w.shape[0] * packed.NR
    gradients = [part for array in made if array.shape[:3] == (len(states), S + 1, b) for part in array]
    assert len(gradients) == len(states)
    for array in [*gradients, segment.xh[:, :, :H], *([] if segment.c is None else [segment.c])]:
        assert np.isfinite(array[:, :, :units]).all()


@pytest.mark.parametrize("shape", [(1,), (3, 5), (4, 2, 75, 64)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrays_begin_at_a_page(shape, dtype):
    array = memory.empty(shape, dtype)
    assert array.shape == shape
    assert array.dtype == dtype
    assert array.ctypes.data % (4096 if array.nbytes >= 4096 else 64) == 0


@pytest.mark.parametrize("itemsize", [4, 8])
@pytest.mark.parametrize("numbers", [1, 16, 64, 75, 257, 512, 513, 1025])
def test_rows_are_an_odd_number_of_lines_apart(numbers, itemsize):
    size = memory.row_size(numbers, itemsize) * itemsize
    assert size % 128 == 64
    assert numbers * itemsize <= size < numbers * itemsize + 128


@compiled_only
def test_kernels_count_no_references():
    """The option is private to Numba: without it kernels still work, but slower."""
    assert "_nrt" in jit.OPTIONS
    found = {}
    for counting, options in ((False, jit.OPTIONS), (True, {})):
        record = njit(**options)(recording.record_state)
        record(np.zeros((1, 2, 3)), 0, 0, np.zeros((2, 3, 8), np.float32), 0, 4)
        found[counting] = "NRT_incref" in "".join(record.inspect_llvm().values())
    assert found == {False: False, True: True}


def test_options_without_the_private_one(monkeypatch):
    monkeypatch.setattr(jit, "CPUTargetOptions", object)
    assert jit.uncounted({"nogil": True}) == {"nogil": True}


# ------------------------------------------------------------------------------ norms


@on_dtypes
@pytest.mark.parametrize("H", [1, 5, 64])
def test_norms_of_rows_at_any_scale(dtype, H):
    """Rows whose squares leave the range, zeros, NaN and Inf: as `norms.norm` has them, each for itself."""
    scales = [1e-310, 1e-200, 1e200, 1e307] if dtype == "float64" else [1e-36, 1e36]
    block = np.random.default_rng(H).normal(size=(len(scales) + 5, H))
    block[: len(scales)] *= np.array(scales)[:, None]
    block[-4] = 0
    block[-3:, -1] = np.inf, -np.inf, np.inf
    block[-2:, 0] = -np.inf, np.nan
    block = block.astype(dtype)
    found, row_norms = np.empty(len(block)), njit(**jit.OPTIONS)(recording.row_norms)
    with np.errstate(over="ignore"):  # of the Python form
        row_norms(found, block.reshape(-1), 0, H, 0, H, H, len(block))
    rtol = np.full(len(block), 1e-14)
    rtol[0] = 1e-12  # subnormal
    expected = norm(block, (1,))
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(found[~finite], expected[~finite])
    found, expected, rtol = found[finite], expected[finite], rtol[finite]
    assert len(found) == len(scales) + 2
    assert (np.abs(found - expected) <= rtol * expected).all()


@on_cases
@on_names
def test_norms_alone_are_those_of_what_is_recorded(name, shape):
    """The same gradients, bit for bit, whether nothing is recorded, everything, or norms alone."""
    case, cell = body.case_of(shape), CELLS[name]
    n = len(cell.gates)
    weights = Weights(
        case.W[:, : n * len(case.U)],
        case.U[:, : n * len(case.U)],
        case.b[: n * len(case.U)],
        rb=case.b[: n * len(case.U)] if name == "gru" else None,
    )
    states = (case.h0, case.c0)[: len(cell.states)]
    packed = memory.Packed(cell, weights)
    found = {}
    for record in (False, True, "norms"):
        segment = memory.forward_segment(packed, case.x, case.mask, states)
        last = (case.dh_last, case.dc_last)[: len(states)]
        found[record] = memory.backward_segment(
            packed, segment, case.dh, last, need_dx=True, record=record, overwrite=True
        )
    for record in (False, "norms"):
        assert found[record].dz is None
        for ours, theirs in zip(found[record].dweights, found[True].dweights, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        for ours, theirs in zip(found[record].dstate, found[True].dstate, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    expected = step_norms(found[True].dz, found[True].dtotal)
    steps = expected.steps if case.mask is not None else norm(expected.steps, (2,))[..., None]
    np.testing.assert_allclose(found["norms"].norms.steps, steps, rtol=1e-13)
    np.testing.assert_allclose(found["norms"].norms.db, expected.db, rtol=1e-12, atol=1e-14)


# ------------------------------------------------------------------------------ memory


def test_pool_gives_back_what_fits_and_stays_within_its_limit():
    kinds = [
        memory.Kind("lstm", keep, 3, 2, 1, 4, np.dtype("float32")) for keep in ("boundaries", "everything")
    ]
    small, large = (memory.Segment(body.LSTM, kind) for kind in kinds)
    assert small.nbytes < large.nbytes
    pool = memory.Pool(limit=large.nbytes + small.nbytes - 1)
    for segment in (small, large):
        pool.give(segment)
    assert pool.nbytes == large.nbytes  # the older kind had to go
    assert pool.take(lambda: memory.Segment(body.LSTM, kinds[1]), kinds[1]) is large
    assert pool.take(lambda: memory.Segment(body.LSTM, kinds[1]), kinds[1]) is not large
    assert pool.nbytes == 0
    narrow = memory.Pool(limit=small.nbytes)
    for segment in (small, large):
        narrow.give(segment)
    assert narrow.take(body.LSTM, kinds[0]) is small  # what does not fit drives out nothing


def test_small_arrays_take_little_more_than_their_numbers():
    sizes = [(1,), (16, 16), (3, 1000), (4, 100, 16, 64)]
    held = [memory.empty(size, np.dtype("float32")).base.nbytes for size in sizes]
    assert all(memory <= 2 * 4 * np.prod(size) + 64 for memory, size in zip(held, sizes, strict=True))
