"""Packing and unpacking are PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest

import minilstm as ml


@pytest.mark.peer
def test_random_batches_are_packed_and_unpacked_as_pytorch_does(torch):
    utils = torch.nn.utils.rnn
    rng = np.random.default_rng(0)
    for _ in range(200):
        B, T = rng.integers(1, 6, 2)
        batch_first = bool(rng.random() < 0.5)
        shape = ((B, T) if batch_first else (T, B)) + (3,) * int(rng.integers(0, 3))
        x = rng.normal(size=shape)
        lengths = rng.integers(1, T + 1, B)
        in_order = bool(rng.random() < 0.5)
        if in_order:
            lengths = -np.sort(-lengths)
        ours = ml.pack_padded_sequence(x, lengths, batch_first, enforce_sorted=in_order)
        theirs = utils.pack_padded_sequence(
            torch.from_numpy(x), torch.from_numpy(lengths), batch_first, in_order
        )
        np.testing.assert_array_equal(ours.batch_sizes, theirs.batch_sizes.numpy())
        if in_order:
            np.testing.assert_array_equal(ours.data, theirs.data.numpy())
            assert ours.sorted_indices is None
        total = int(rng.integers(lengths.max(), T + 3))
        found, counts = ml.pad_packed_sequence(ours, batch_first, -1.5, total)
        expected, expected_counts = utils.pad_packed_sequence(theirs, batch_first, -1.5, total)
        np.testing.assert_array_equal(found, expected.numpy())
        np.testing.assert_array_equal(counts, expected_counts.numpy())
        handed = utils.PackedSequence(
            torch.from_numpy(ours.data),
            torch.from_numpy(ours.batch_sizes),
            None if ours.sorted_indices is None else torch.from_numpy(ours.sorted_indices),
            None if ours.unsorted_indices is None else torch.from_numpy(ours.unsorted_indices),
        )
        np.testing.assert_array_equal(utils.pad_packed_sequence(handed, batch_first)[1].numpy(), counts)


@pytest.mark.parametrize(
    ("lengths", "options", "message"),
    [
        (
            [1, 2],
            {},
            r"lengths\[1\] must be at most 1, the one before it, where enforce_sorted is",
        ),
        ([4, 1], {}, r"lengths\[0\] must be at most 3, the steps of input, got 4"),
        ([3, 0], {}, r"lengths\[1\] must be a whole number >= 1, got 0"),
        ([3], {}, "lengths must be one number for each of 2 sequences, at least 1, got 1"),
    ],
)
def test_bad_lengths_are_named(lengths, options, message):
    with pytest.raises(ValueError, match=message):
        ml.pack_padded_sequence(np.ones((2, 3)), lengths, batch_first=True, **options)


def test_other_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"input must be of at least 2 axes, time and batch, got shape"):
        ml.pack_padded_sequence([1, 2, 3], [3])
    packed = ml.pack_padded_sequence(np.ones((2, 3)), [3, 2], batch_first=True)
    with pytest.raises(ValueError, match="total_length must be at least 3, the longest sequence, got 2"):
        ml.pad_packed_sequence(packed, total_length=2)
    with pytest.raises(ValueError, match="sequence must be a PackedSequence whose batch_sizes fall"):
        ml.pad_packed_sequence(packed._replace(batch_sizes=np.array([2, 3])))


@pytest.mark.peer
@pytest.mark.parametrize("batch_first", [False, True])
def test_whole_sequences_like_torch(batch_first):
    torch = pytest.importorskip("torch")
    from torch.nn.utils import rnn

    from minilstm.sequences import packing

    rows = [np.random.default_rng(k).normal(size=(t, 2)) for k, t in enumerate((2, 5, 3))]
    tensors = [torch.tensor(row) for row in rows]
    for side in ("left", "right"):
        ours = packing.pad_sequence(rows, batch_first, -1.0, side)
        assert (ours == rnn.pad_sequence(tensors, batch_first, -1.0, side).numpy()).all()
    for found, row in zip(packing.unpad_sequence(ours, [2, 5, 3], batch_first), rows, strict=True):
        assert (found == row).all()
    packed, theirs = packing.pack_sequence(rows, False), rnn.pack_sequence(tensors, False)
    assert (packed.data == theirs.data.numpy()).all()
    assert packed.batch_sizes.tolist() == theirs.batch_sizes.tolist()
    for found, row in zip(packing.unpack_sequence(packed), rows, strict=True):
        assert (found == row).all()
    with pytest.raises(ValueError, match="sequences must be at least one"):
        packing.pad_sequence([])
