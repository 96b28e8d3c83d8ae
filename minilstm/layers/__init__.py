"""Layers in Keras's words (units, kernel, recurrent_kernel, bias), with explicit forward and backward."""

from minilstm.layers.base import Layer
from minilstm.layers.core import Dense, Embedding, Masking
from minilstm.layers.recurrent import LSTM

__all__ = ["LSTM", "Dense", "Embedding", "Layer", "Masking"]
