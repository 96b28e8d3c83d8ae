"""What belongs to a sample has the same bits in any batch, chunk, piece of time and number of threads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from interpreted import INTERPRETED

from minilstm.bptt.cell import Weights
from minilstm.bptt.gru import GRUCell
from minilstm.bptt.lstm import LSTMCell
from minilstm.bptt.simple_rnn import SimpleRNNCell
from minilstm.compiled import chunks, engines, threads

pytestmark = pytest.mark.skipif(INTERPRETED, reason="NumPy's products have no fixed order")

CELLS = [LSTMCell(), GRUCell(), SimpleRNNCell()]


@st.composite
def layers(draw):
    """A cell, its weights, x, mask, initial state, and the gradients from above."""
    cell, dtype = draw(st.sampled_from(CELLS)), draw(st.sampled_from(["float32", "float64"]))
    T, B = draw(st.integers(1, 12)), draw(st.sampled_from([1, 2, 3, 7, 16, 17, 33, 40]))
    D, H = draw(st.sampled_from([1, 3, 20])), draw(st.sampled_from([1, 4, 15, 16, 17, 33, 64, 65]))
    rng, n = np.random.default_rng(draw(st.integers(0, 10_000))), len(cell.gates)
    scale = 0.7 / np.sqrt(H)
    W, U, b, rb = (
        (rng.normal(size=size) * scale).astype(dtype) for size in ((D, n * H), (H, n * H), n * H, n * H)
    )
    x = rng.normal(size=(T, B, D)).astype(dtype)
    mask = rng.random((T, B)) < 0.7 if draw(st.booleans()) else None
    state, last = (tuple(rng.normal(size=(B, H)).astype(dtype) for _ in cell.states) for _ in range(2))
    external = rng.normal(size=(T, B, H)).astype(dtype)
    return cell, Weights(W, U, b, rb if cell.name == "gru" else None), x, mask, state, external, last


def passes(layer, rows=slice(None), record=True, **options):
    """Everything that belongs to the samples `rows` when they alone are the batch, by name."""
    cell, weights, x, mask, state, external, last = layer
    x, external = x[:, rows], external[:, rows]
    mask = None if mask is None else mask[:, rows]
    state, last = (tuple(part[rows] for part in parts) for parts in (state, last))
    engine = engines.engine_of("numba")
    tape = chunks.forward(cell, weights, x, mask, state, engine=engine, **options)
    found = chunks.backward(weights, tape, external, last, record=record)
    arrays = {"dx": found.dx} | {f"last {k}": part[None] for k, part in enumerate(tape.last_state)}
    arrays |= {f"first {k}": part[None] for k, part in enumerate(found.dstate)}
    if tape.keep == "everything":
        arrays |= {name: tape.join(name) for name in (*cell.states, *cell.kept)}
    if record is True:
        arrays |= {"dz": found.dz} | {f"d{k}": part for k, part in enumerate(found.dtotal)}
    return found, arrays


def same(found, expected, rows=slice(None)):
    for name, array in found.items():
        np.testing.assert_array_equal(array, expected[name][:, rows], err_msg=name)


@settings(max_examples=80)
@given(layers(), st.randoms(use_true_random=False))
def test_a_sample_has_the_same_bits_in_any_batch(layer, random):
    _, whole = passes(layer)
    B = layer[2].shape[1]
    for rows in ([random.randrange(B)], random.sample(range(B), random.randint(1, B)), [0] * 5):
        _, some = passes(layer, rows)
        same(some, whole, rows)


@settings(max_examples=60)
@given(layers(), st.integers(1, 13))
def test_a_sample_has_the_same_bits_in_any_piece_of_time(layer, steps):
    _, whole = passes(layer)
    for keep in ("everything", "boundaries"):
        _, pieces = passes(layer, segment_steps=steps, keep=keep)
        same(pieces, whole)


@settings(max_examples=30)
@given(layers(), st.integers(1, 13))
def test_a_prediction_has_the_bits_of_training(layer, steps):
    """However little is kept, and whatever the segments."""
    cell, weights, x, mask, state, *_ = layer
    options = {"engine": engines.engine_of("numba")}
    tape = chunks.forward(cell, weights, x, mask, state, **options)
    outputs = np.empty((*x.shape[:2], len(weights.U)), x.dtype)
    for keep, out in (("outputs", outputs), ("outputs", None)):
        slim = chunks.forward(
            cell, weights, x, mask, state, segment_steps=steps, keep=keep, outputs=out, **options
        )
        for ours, theirs in zip(slim.last_state, tape.last_state, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(outputs, tape.join("h"))


@pytest.mark.slow
@settings(max_examples=25)
@given(layers())
def test_norms_of_a_sample_have_the_same_bits_in_any_batch(layer):
    """With a mask norms are kept sample by sample."""
    if layer[3] is None:
        layer = (*layer[:3], np.ones(layer[2].shape[:2], bool), *layer[4:])
    whole, _ = passes(layer, record="norms")
    for row in range(0, layer[2].shape[1], 5):
        alone, _ = passes(layer, [row], record="norms")
        np.testing.assert_array_equal(alone.norms.steps[:, :, 0], whole.norms.steps[:, :, row])
        np.testing.assert_array_equal(alone.norms.db[:, 0], whole.norms.db[:, row])


@settings(max_examples=40)
@given(layers(), st.sampled_from([{}, {"segment_steps": 3, "keep": "boundaries"}]))
def test_any_number_of_threads_gives_the_same_bits(layer, options):
    """1, 2 and 4 threads, and enough work for them to be used: also the sums over the batch."""
    before, work, results = threads.get_num_threads(), engines.PARALLEL_WORK, []
    engines.PARALLEL_WORK = 0
    try:
        for count in (1, 2, 4):
            threads.set_num_threads(count)
            found, arrays = passes(layer, **options)
            parts = zip(found.dweights._fields, found.dweights, strict=True)
            results.append(arrays | {f"d{name}": part[None] for name, part in parts if part is not None})
    finally:
        engines.PARALLEL_WORK = work
        threads.set_num_threads(before)
    for other in results[1:]:
        same(other, results[0])


@pytest.mark.parametrize(
    ("B", "keep", "expected"), [(3, "boundaries", 1), (3, "everything", 0), (40, "boundaries", 0)]
)
def test_segments_are_computed_again_ahead_where_a_thread_is_free(B, keep, expected, monkeypatch):
    calls, ahead = [], threads.ahead
    monkeypatch.setattr(engines, "PARALLEL_WORK", 0)
    monkeypatch.setattr(threads, "get_num_threads", lambda: 2)
    monkeypatch.setattr(threads, "ahead", lambda items: ahead(calls.append(1) or items))
    x, weights = np.ones((8, B, 2)), Weights(np.ones((2, 12)), np.ones((3, 12)), np.ones(12))
    tape = chunks.forward(
        LSTMCell(), weights, x, engine=engines.engine_of("numba"), segment_steps=3, keep=keep
    )
    chunks.backward(weights, tape, np.ones((8, B, 3)))
    assert len(calls) == expected
