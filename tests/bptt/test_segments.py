"""BPTT over the whole time axis: every gradient against autograd and complex steps, on both backends."""

from __future__ import annotations

import gc
import tracemalloc

import engine_cases as body
import numpy as np
import oracle
import pytest
from conftest import require
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import PARITY, check, distance

from minilstm.bptt.cell import Weights
from minilstm.bptt.lstm import LSTMCell
from minilstm.compiled import chunks, engines, threads

LSTM = LSTMCell()
BACKENDS = ["numpy", "numba"]
MASKS = ["none", "random", "pre", "post", "first", "rows", "all"]
on_backends = pytest.mark.parametrize("backend", BACKENDS)


def passes(
    case: oracle.Case, backend: str, truncate: bool = False, overwrite: bool = False, **forward_options
):
    """Tape and gradients of the case."""
    weights = Weights(case.W, case.U, case.b)
    tape = chunks.forward(
        LSTM,
        weights,
        case.x,
        case.mask,
        (case.h0, case.c0),
        engine=engines.engine_of(backend),
        **forward_options,
    )
    last = (case.dh_last, case.dc_last)
    options = {"truncate": truncate, "overwrite": overwrite, "record": True}
    return tape, chunks.backward(weights, tape, case.dh, last, **options)


def named(gradients) -> dict[str, np.ndarray]:
    named = dict(zip("WUb", gradients.dweights[:3], strict=True))
    named |= {"x": gradients.dx, "z": gradients.dz} | dict(zip("hc", gradients.dtotal, strict=True))
    return named | dict(zip(("h0", "c0"), gradients.dstate, strict=True))


def check_all(found: dict[str, np.ndarray], expected: dict[str, np.ndarray], bound: float) -> None:
    """Every tensor; arrays that have time steps step by step."""
    for name, array in expected.items():
        check(found[name], array, bound, steps=0 if name in ("x", "h", "c", "z") else None, what=f"d{name}")


def same_bits(found, expected) -> None:
    for name, array in named(found).items():
        np.testing.assert_array_equal(array, named(expected)[name], err_msg=name)


@st.composite
def sizes(draw):
    """T, B, D, H, the kind of mask, segment_steps and a seed."""
    T = draw(st.integers(1, 9))
    B = draw(st.sampled_from([1, 2, 3, 5, 17]))
    D, H = draw(st.integers(1, 6)), draw(st.integers(1, 7))
    return (
        T,
        B,
        D,
        H,
        draw(st.sampled_from(MASKS)),
        draw(st.sampled_from([None, 1, 3, T, T + 5])),
        draw(seeds),
    )


seeds = st.integers(0, 10_000)
a_hundred = settings(max_examples=120)


# ------------------------------------------------------------------------------ against the references


@on_backends
@a_hundred
@given(sizes())
def test_all_gradients_are_autograd_s_in_float64(backend, drawn):
    require("torch")
    T, B, D, H, mask, segment_steps, seed = drawn
    case = oracle.draw(np.random.default_rng(seed), T, B, D, H, mask)
    tape, found = passes(case, backend, segment_steps=segment_steps)
    states = oracle.run(case)
    bound = PARITY["float64"]
    check(tape.join("h"), states.h[1:], bound, steps=0, what="h")
    check(tape.join("c"), states.c[1:], bound, steps=0, what="c")
    for gate, expected in zip("ifgo", states[2:], strict=True):
        check(tape.join(gate), expected, bound, steps=0, what=gate)
    check(tape.last_state[0], states.h[-1], bound)
    check(tape.last_state[1], states.c[-1], bound)
    check_all(named(found), oracle.torch_gradients(case), bound)


@on_backends
@settings(a_hundred, max_examples=60)
@given(sizes())
def test_all_gradients_in_float32(backend, drawn):
    require("torch")
    T, B, D, H, mask, segment_steps, seed = drawn
    case = body.as_dtype(oracle.draw(np.random.default_rng(seed), T, B, D, H, mask), "float32")
    _, found = passes(case, backend, segment_steps=segment_steps)
    assert {array.dtype.name for array in named(found).values()} == {"float32"}
    exact = body.as_dtype(case, "float64")
    expected = oracle.torch_gradients(exact)
    signs, ulp = np.random.default_rng(seed), np.finfo("float32").eps
    moved = exact._replace(
        **{k: w * (1 + ulp * signs.choice([-1, 1], w.shape)) for k, w in zip("WUb", exact[:3], strict=True)}
    )
    for name, array in oracle.torch_gradients(moved).items():
        # a step of one number may be what is left of a sum that cancels: then a changed ulp tells how much
        steps = 0 if name in ("x", "h", "c", "z") else None
        noise = distance(array, expected[name], steps)
        check(named(found)[name], expected[name], max(PARITY["float32"], 10 * noise), steps, f"d{name}")


@on_backends
@pytest.mark.parametrize("mask", MASKS)
def test_all_gradients_are_the_complex_step_s(backend, mask):
    case = oracle.draw(np.random.default_rng(len(mask)), 5, 3, 2, 4, mask)
    _, found = passes(case, backend, segment_steps=2)
    check_all(named(found), oracle.gradients(case), PARITY["float64"])


@on_backends
def test_a_long_sequence_keeps_its_precision(backend):
    """200 steps: dx of the first step is tiny, and right to 12 digits of its own size."""
    require("torch")
    case = oracle.draw(np.random.default_rng(0), 200, 2, 3, 4, scale=0.3)
    case.dh[:] = 0
    _, found = passes(case, backend)
    expected = oracle.torch_gradients(case)
    assert np.abs(expected["x"][0]).max() < 1e-20
    check_all(named(found), expected, PARITY["float64"])


@pytest.mark.parametrize("B", [15, 16, 17, 33, 40])
@pytest.mark.parametrize("mask", ["none", "post", "random"])
def test_backends_agree_over_chunks_of_the_batch(B, mask):
    case = oracle.draw(np.random.default_rng(B), 6, B, 3, 5, mask)
    tapes, found = zip(*(passes(case, backend) for backend in BACKENDS), strict=True)
    check_all(named(found[1]), named(found[0]), PARITY["float64"])
    for name in "hcifgo":
        check(tapes[1].join(name), tapes[0].join(name), PARITY["float64"], steps=0, what=name)


# ------------------------------------------------------------------------------ segments


@on_backends
@pytest.mark.parametrize("segment_steps", [1, 2, 3, 7, 12])
@pytest.mark.parametrize("mask", ["none", "random"])
def test_checkpoints_give_the_gradient_of_the_whole(backend, segment_steps, mask):
    case = oracle.draw(np.random.default_rng(1), 7, 3, 2, 5, mask)
    _, whole = passes(case, backend)
    _, segmented = passes(case, backend, segment_steps=segment_steps)
    tape, recomputed = passes(case, backend, segment_steps=segment_steps, keep="boundaries")
    assert all(segment is None for part in tape.parts for segment in part.segments)
    check_all(named(segmented), named(whole), PARITY["float64"])
    same_bits(recomputed, segmented)


@on_backends
@pytest.mark.parametrize("segment_steps", [1, 3, 7, 12])
@pytest.mark.parametrize("mask", ["none", "random"])
@pytest.mark.parametrize("keep", ["everything", "boundaries"])
def test_truncation_is_torch_with_detach(backend, segment_steps, mask, keep):
    require("torch")
    case = oracle.draw(np.random.default_rng(2), 7, 3, 2, 5, mask)
    _, found = passes(case, backend, truncate=True, segment_steps=segment_steps, keep=keep)
    check_all(named(found), oracle.torch_gradients(case, cut=segment_steps), PARITY["float64"])


@on_backends
def test_boundaries_need_far_less_memory(backend):
    """What waits for backward is the boundary states: by the tape's own count, and by tracemalloc."""
    case = oracle.draw(np.random.default_rng(3), 400, 4, 2, 16)
    weights = Weights(case.W, case.U, case.b)

    def waiting(**options) -> tuple[int, int]:
        chunks.forward(LSTM, weights, case.x[:2], engine=engines.engine_of(backend))  # compile first
        gc.collect()
        tracemalloc.start()
        tape = chunks.forward(LSTM, weights, case.x, engine=engines.engine_of(backend), **options)
        gc.collect()
        traced, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return tape.nbytes, traced

    whole, traced_whole = waiting()
    slim, traced_slim = waiting(segment_steps=20, keep="boundaries")
    assert slim == 20 * 2 * 4 * 16 * 8
    assert slim < whole / 50
    assert traced_slim < traced_whole / 10  # one segment may wait in the pool


# ------------------------------------------------------------------------------ contracts of backward


@on_backends
def test_backward_twice_gives_the_same_bits_and_leaves_the_tape(backend):
    case = oracle.draw(np.random.default_rng(4), 5, 17, 2, 4, "random")
    tape, first = passes(case, backend)
    before = [tape.join(name).tobytes() for name in "hcifgo"]
    weights, last = Weights(case.W, case.U, case.b), (case.dh_last, case.dc_last)
    same_bits(chunks.backward(weights, tape, case.dh, last, record=True), first)
    assert [tape.join(name).tobytes() for name in "hcifgo"] == before


@on_backends
def test_overwriting_gives_the_same_bits_and_consumes_the_tape(backend):
    case = oracle.draw(np.random.default_rng(5), 5, 17, 2, 4, "random")
    _, kept = passes(case, backend)
    tape, found = passes(case, backend, overwrite=True)
    same_bits(found, kept)
    assert all(part.consumed for part in tape.parts)
    with pytest.raises(RuntimeError, match="tape was consumed by backward"):
        chunks.backward(Weights(case.W, case.U, case.b), tape, case.dh)
    with pytest.raises(RuntimeError, match="run forward again"):
        tape.join("h")


@on_backends
def test_a_tape_without_its_steps_is_refused(backend):
    """keep="outputs" says that no backward will follow; one that follows must not read foreign memory."""
    case = oracle.draw(np.random.default_rng(5), 5, 3, 2, 4)
    with pytest.raises(RuntimeError, match="outputs"):
        passes(case, backend, keep="outputs")


@on_backends
def test_outputs_only_gives_the_same_outputs(backend):
    case = oracle.draw(np.random.default_rng(5), 5, 17, 2, 4, "random")
    weights, start = Weights(case.W, case.U, case.b), (case.h0, case.c0)
    full = chunks.forward(LSTM, weights, case.x, case.mask, start, engine=engines.engine_of(backend))
    outputs = np.empty_like(full.join("h"))
    slim = chunks.forward(
        LSTM,
        weights,
        case.x,
        case.mask,
        start,
        engine=engines.engine_of(backend),
        keep="outputs",
        outputs=outputs,
    )
    np.testing.assert_array_equal(full.join("h"), outputs)
    np.testing.assert_array_equal(full.last_state[0], slim.last_state[0])
    np.testing.assert_array_equal(full.last_state[1], slim.last_state[1])


@on_backends
def test_no_incoming_gradient_gives_none(backend):
    case = oracle.draw(np.random.default_rng(6), 5, 3, 2, 4, "random")
    weights = Weights(case.W, case.U, case.b)
    tape = chunks.forward(LSTM, weights, case.x, case.mask, engine=engines.engine_of(backend))
    for external in (None, np.zeros_like(case.dh)):
        for array in named(chunks.backward(weights, tape, external, record=True)).values():
            assert not array.any()


@on_backends
def test_backward_is_linear_in_the_incoming_gradient(backend):
    case = oracle.draw(np.random.default_rng(7), 5, 3, 2, 4, "random")
    other = oracle.draw(np.random.default_rng(8), 5, 3, 2, 4)
    weights = Weights(case.W, case.U, case.b)
    tape = chunks.forward(LSTM, weights, case.x, case.mask, engine=engines.engine_of(backend))

    def back(dh, dh_last, dc_last):
        return named(chunks.backward(weights, tape, dh, (dh_last, dc_last), record=True))

    a, b = back(*case[7:]), back(*other[7:])
    both = back(*(2 * p - 3 * q for p, q in zip(case[7:], other[7:], strict=True)))
    check_all(both, {name: 2 * a[name] - 3 * b[name] for name in a}, 1e-13)


@on_backends
def test_external_at_the_last_step_and_the_last_state_s_gradient_are_one_thing(backend):
    case = oracle.draw(np.random.default_rng(9), 5, 3, 2, 4)
    weights = Weights(case.W, case.U, case.b)
    tape = chunks.forward(LSTM, weights, case.x, engine=engines.engine_of(backend))
    external = np.zeros_like(case.dh)
    external[-1] = case.dh_last
    by_state = chunks.backward(weights, tape, None, (case.dh_last, 0 * case.dc_last), record=True)
    same_bits(chunks.backward(weights, tape, external, record=True), by_state)


@on_backends
def test_what_is_not_asked_for_is_none(backend):
    case = oracle.draw(np.random.default_rng(9), 5, 3, 2, 4)
    weights = Weights(case.W, case.U, case.b)
    tape = chunks.forward(LSTM, weights, case.x, engine=engines.engine_of(backend))
    found = chunks.backward(weights, tape, case.dh, need_dx=False)
    assert found.dx is found.dz is found.dtotal is None


# ------------------------------------------------------------------------------ masks


@on_backends
@pytest.mark.parametrize("side", ["pre", "post"])
def test_padding_equals_the_shorter_sequence(backend, side):
    """A masked end or beginning changes no output and no gradient, whatever it contains."""
    T, pad = 4, 3
    short = oracle.draw(np.random.default_rng(10), T, 3, 2, 5)
    zeros = np.zeros((pad, 3, 2))
    order = (lambda a, b: (a, b)) if side == "pre" else (lambda a, b: (b, a))
    case = short._replace(
        x=np.concatenate(order(zeros, short.x)),
        mask=np.concatenate(order(np.zeros((pad, 3), bool), np.ones((T, 3), bool))),
        dh=np.concatenate(order(np.zeros((pad, 3, 5)), short.dh)),
    )
    _, expected = passes(short, backend)
    _, found = passes(case, backend)
    for name in "WUb":
        check(getattr(found.dweights, name), getattr(expected.dweights, name), 1e-13, what=name)
    real = slice(pad, None) if side == "pre" else slice(None, T)
    check(found.dtotal[0][real], expected.dtotal[0], 1e-13)
    check(found.dx[real], expected.dx, 1e-13)


@on_backends
def test_a_row_without_real_steps_holds_its_state(backend):
    case = oracle.draw(np.random.default_rng(11), 4, 3, 2, 5, "none")
    mask = np.ones((4, 3), bool)
    mask[:, 1] = False
    case = case._replace(mask=mask, dh=np.zeros_like(case.dh))
    tape, found = passes(case, backend)
    np.testing.assert_array_equal(tape.last_state[0][1], case.h0[1])
    np.testing.assert_array_equal(tape.last_state[1][1], case.c0[1])
    np.testing.assert_array_equal(found.dstate[0][1], case.dh_last[1])
    np.testing.assert_array_equal(found.dstate[1][1], case.dc_last[1])
    assert not found.dx[:, 1].any()


@on_backends
def test_an_all_true_mask_is_no_mask(backend):
    case = oracle.draw(np.random.default_rng(12), 4, 3, 2, 5)
    _, expected = passes(case, backend)
    _, found = passes(case._replace(mask=np.ones((4, 3), bool)), backend)
    same_bits(found, expected)


# ------------------------------------------------------------------------------ layout, sizes, threads


@on_backends
def test_memory_layout_changes_nothing(backend):
    """Fortran order, strides, reversed axes and read-only arrays: the bits of the contiguous copy.

    NumPy's products may take another route for another layout, so there the bits may differ.
    """
    case = oracle.draw(np.random.default_rng(13), 5, 4, 3, 5, "random")
    _, expected = passes(case, backend)

    def spread(part):
        wide = np.zeros([2 * size for size in part.shape], part.dtype)
        view = wide[tuple(slice(None, None, 2) for _ in part.shape)]
        view[...] = part
        view.flags.writeable = False
        return view

    for form in (np.asfortranarray, spread, lambda part: np.ascontiguousarray(part[::-1])[::-1]):
        _, found = passes(oracle.Case(*[form(part) for part in case]), backend)
        check_all(named(found), named(expected), 1e-13)
        if backend == "numba":
            same_bits(found, expected)


@on_backends
def test_a_batch_of_none(backend):
    case = oracle.draw(np.random.default_rng(14), 3, 2, 2, 4)
    weights = Weights(case.W, case.U, case.b)
    tape = chunks.forward(LSTM, weights, case.x[:, :0], engine=engines.engine_of(backend, 0))
    assert tape.last_state[0].shape == (0, 4)
    assert not chunks.backward(weights, tape, case.dh[:, :0]).dweights.W.any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_number_of_threads_gives_the_same_bits(dtype, monkeypatch):
    """Enough work for the threads to be used: 5 chunks on 1, 2, 3 and 4 threads."""
    monkeypatch.setattr(engines, "PARALLEL_WORK", 0)
    before = threads.get_num_threads()
    case = body.as_dtype(oracle.draw(np.random.default_rng(15), 12, 70, 4, 9, "random"), dtype)
    results = []
    try:
        for count in (1, 2, 3, 4):
            threads.set_num_threads(count)
            tape, found = passes(case, "numba", segment_steps=5)
            results.append([tape.join("h"), *named(found).values()])
    finally:
        threads.set_num_threads(before)
    for other in results[1:]:
        for ours, theirs in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(ours, theirs)


# ------------------------------------------------------------------------------ words that are refused


def test_unknown_words_are_refused():
    case = oracle.draw(np.random.default_rng(16), 2, 1, 1, 1)
    weights = Weights(case.W, case.U, case.b)
    with pytest.raises(ValueError, match="keep must be 'everything' or 'boundaries' or 'outputs', got 'all'"):
        chunks.forward(LSTM, weights, case.x, keep="all")
    with pytest.raises(ValueError, match="segment_steps must be a whole number >= 1, got 0"):
        chunks.forward(LSTM, weights, case.x, segment_steps=0)
    with pytest.raises(TypeError, match=r"segment_steps must be a whole number >= 1, got 2\.5"):
        chunks.forward(LSTM, weights, case.x, segment_steps=2.5)
    with pytest.raises(ValueError, match="backend must be 'numba' or 'numpy', got 'cuda'"):
        engines.resolve_backend("cuda")
