"""Keras's names, so that a script that wrote `tf.keras.Sequential` needs only another import.

import minilstm as tf
model = tf.keras.Sequential([...])
"""

from minilstm.layers import (
    GRU,
    LSTM,
    Bidirectional,
    Dense,
    Dropout,
    Embedding,
    GlobalAveragePooling1D,
    Masking,
    SimpleRNN,
    TimeDistributed,
)
from minilstm.model import Sequential
from minilstm.sequences import pad_sequences

__all__ = [
    "GRU",
    "LSTM",
    "Bidirectional",
    "Dense",
    "Dropout",
    "Embedding",
    "GlobalAveragePooling1D",
    "Masking",
    "Sequential",
    "SimpleRNN",
    "TimeDistributed",
    "pad_sequences",
]
