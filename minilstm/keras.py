"""Keras's names, so that a script that wrote `tf.keras.Sequential` needs only another import.

import minilstm as tf
model = tf.keras.Sequential([...])
"""

from minilstm.layers import LSTM, Dense, Embedding, Masking
from minilstm.model import Sequential
from minilstm.sequences import pad_sequences

__all__ = ["LSTM", "Dense", "Embedding", "Masking", "Sequential", "pad_sequences"]
