"""Layers in Keras's words (units, kernel, recurrent_kernel, bias), with explicit forward and backward."""

from minilstm.layers.base import Layer
from minilstm.layers.dense import Dense
from minilstm.layers.dropout import Dropout
from minilstm.layers.embedding import Embedding
from minilstm.layers.masking import Masking
from minilstm.layers.pooling import GlobalAveragePooling1D
from minilstm.layers.recurrent import GRU, LSTM, Recurrent, SimpleRNN
from minilstm.layers.wrappers import TimeDistributed

__all__ = [
    "GRU",
    "LSTM",
    "Dense",
    "Dropout",
    "Embedding",
    "GlobalAveragePooling1D",
    "Layer",
    "Masking",
    "Recurrent",
    "SimpleRNN",
    "TimeDistributed",
]
