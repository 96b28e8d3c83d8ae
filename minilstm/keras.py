"""Keras's names, so that a script that wrote `tf.keras.Sequential` needs only another import.

import minilstm as tf
model = tf.keras.Sequential([...])
"""

from minilstm.layers import GRU, LSTM, Dense, Embedding, Masking, SimpleRNN
from minilstm.model import Sequential
from minilstm.sequences import pad_sequences

__all__ = ["GRU", "LSTM", "Dense", "Embedding", "Masking", "Sequential", "SimpleRNN", "pad_sequences"]
