"""The records of a pass: what a tape holds and weighs, and pieces put together again."""

from __future__ import annotations

from itertools import pairwise

import engine_cases as body
import numpy as np
import oracle
import pytest

from minilstm.bptt import pieces, segments
from minilstm.bptt.cell import Weights
from minilstm.bptt.lstm import LSTMCell
from minilstm.compiled import chunks
from minilstm.foundations.norms import join_norms, step_norms

T, B, D, H = 7, 3, 2, 4
CASE = oracle.draw(np.random.default_rng(0), T, B, D, H, "random")
WEIGHTS = Weights(CASE.W, CASE.U, CASE.b)


def tape_of(**options):
    return segments.forward(
        LSTMCell(), WEIGHTS, CASE.x, CASE.mask, (CASE.h0, CASE.c0), segment_steps=3, **options
    )


def test_states_have_one_row_more_and_segments_meet_in_it():
    tape = tape_of()
    assert [(span.start, span.stop) for span in tape.spans] == [(0, 3), (3, 6), (6, 7)]
    for segment, span in zip(tape.segments, tape.spans, strict=True):
        steps = span.stop - span.start
        assert [state.shape for state in segment.states] == [(steps + 1, B, H)] * 2
        assert [kept.shape for kept in segment.kept] == [(steps, B, H)] * 4
    for k in range(2):
        np.testing.assert_array_equal(tape.segments[0].states[k][0], (CASE.h0, CASE.c0)[k])
        for before, after in pairwise(tape.segments):
            np.testing.assert_array_equal(before.states[k][-1], after.states[k][0])


@pytest.mark.parametrize("keep", ["everything", "boundaries", "outputs"])
def test_a_tape_weighs_what_it_holds_and_knows_its_ends(keep):
    tape = tape_of(keep=keep)
    boundaries = 3 * 2 * B * H * 8
    steps = (2 * (T + 3) + 4 * T) * B * H * 8 if keep == "everything" else 0
    assert tape.nbytes == boundaries + steps
    expected = oracle.run(CASE)
    for found, first in zip(tape.states[0], (CASE.h0, CASE.c0), strict=True):
        np.testing.assert_array_equal(found, first)
    for found, rows in zip(tape.last_state, (expected.h, expected.c), strict=True):
        np.testing.assert_allclose(found, rows[-1], rtol=1e-12)


def test_the_last_state_outlives_the_arrays_of_its_segment():
    segment = tape_of().segments[0]
    last = segment.last_state
    before = last[0].copy()
    segment.states[0][...] = 0
    np.testing.assert_array_equal(last[0], before)


SPANS, ROWS = (slice(3), slice(3, 6), slice(6, 7)), (slice(2), slice(2, 3))


def cut(array: np.ndarray) -> list[list[np.ndarray]]:
    """(7, 3, .) as 2 chunks of the batch and 3 segments of time."""
    return [[array[span, rows] for span in SPANS] for rows in ROWS]


def test_pieces_become_the_whole_laid_out_by_sample():
    whole = np.random.default_rng(1).normal(size=(T, B, H))
    by_time, by_batch = ([whole[span] for span in SPANS], [whole[:, rows] for rows in ROWS])
    for axis, parts in enumerate((by_time, by_batch)):
        found = pieces.join(parts, axis)
        np.testing.assert_array_equal(found, whole)
        assert found.transpose(1, 0, 2).flags.c_contiguous


def test_states_of_chunks_become_the_state_of_the_batch():
    h, c = CASE.h0, CASE.c0
    found = chunks.join_states([(h[:2], c[:2]), (h[2:], c[2:])])
    for ours, whole in zip(found, (h, c), strict=True):
        np.testing.assert_array_equal(ours, whole)


def test_weights_add_up_and_what_is_not_there_stays_away():
    parts = [Weights(*np.full((3, 2, 2), float(k))) for k in (1, 2, 4)]
    found = pieces.add_weights(parts)
    assert found.rb is found.p is None
    for array in found[:3]:
        np.testing.assert_array_equal(array, np.full((2, 2), 7.0))


def test_norms_of_pieces_are_the_norms_of_the_whole():
    rng = np.random.default_rng(2)
    dz, dh, dc = rng.normal(size=(T, B, 4 * H)), *rng.normal(size=(2, T, B, H))
    parts = [
        [step_norms(z, (h, c)) for z, h, c in zip(*chunk, strict=True)]
        for chunk in zip(cut(dz), cut(dh), cut(dc), strict=True)
    ]
    found = join_norms(parts)
    assert found.steps.shape == (2 + 4, T, B)
    np.testing.assert_allclose(found.steps[0], np.linalg.norm(dh, axis=2), rtol=1e-14)
    np.testing.assert_allclose(found.steps[1], np.linalg.norm(dc, axis=2), rtol=1e-14)
    for k in range(4):
        block = dz[:, :, k * H : (k + 1) * H]
        np.testing.assert_allclose(found.steps[2 + k], np.linalg.norm(block, axis=2), rtol=1e-14)
        np.testing.assert_allclose(found.db[k], block.sum(axis=0), rtol=1e-13)


@pytest.mark.parametrize("shape", body.CASES[:1], ids=body.IDS[:1])
def test_norms_alone_are_those_of_what_is_recorded(shape):
    case = body.case_of(shape)
    weights, last = Weights(case.W, case.U, case.b), (case.dh_last, case.dc_last)
    tape = segments.forward(LSTMCell(), weights, case.x)
    full = segments.backward(weights, tape, case.dh, last, record=True)
    found = segments.backward(weights, tape, case.dh, last, record="norms")
    assert found.dz is found.dtotal is full.norms is None
    expected = step_norms(full.dz, full.dtotal)
    np.testing.assert_array_equal(found.norms.steps, expected.steps)
    np.testing.assert_array_equal(found.norms.db, expected.db)
