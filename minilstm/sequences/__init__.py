"""Ragged sequences into what a model takes: padding, masks, cutting, windows, buckets, packing, ids of words.

    padding      B sequences of any lengths -> one array (B, T) or (B, T, D), as Keras does it
    truncation   cut to a length (head, tail, a window); the mask that goes with padded sequences
    audit        what a length would cost: steps cut off, and padding
    windows      one long series -> many short sequences and their targets, as Keras does it
    buckets      batches of similar length, and the padding that they save
    packing      padded <-> packed, as PyTorch does it
    text         texts -> ids of words, through a vocabulary

What this is not: it does not train, and it knows no layers. It needs NumPy only.
"""

from minilstm.sequences.audit import PaddingAudit, PaddingAuditRow, padding_audit
from minilstm.sequences.buckets import LengthBuckets
from minilstm.sequences.packing import (
    PackedSequence,
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
    pad_sequence,
    unpack_sequence,
    unpad_sequence,
)
from minilstm.sequences.padding import pad_sequences
from minilstm.sequences.text import Vocabulary
from minilstm.sequences.truncation import lengths_to_mask, truncate
from minilstm.sequences.windows import sliding_windows

__all__ = [
    "LengthBuckets", "PackedSequence", "PaddingAudit", "PaddingAuditRow", "Vocabulary", "lengths_to_mask",
    "pack_padded_sequence", "pack_sequence", "pad_packed_sequence", "pad_sequence", "pad_sequences",
    "padding_audit", "sliding_windows", "truncate", "unpack_sequence", "unpad_sequence",
]  # fmt: skip
