"""Layers in Keras's words (units, kernel, recurrent_kernel, bias), with explicit forward and backward."""

from minilstm.layers.base import Layer
from minilstm.layers.dense import Dense
from minilstm.layers.embedding import Embedding
from minilstm.layers.masking import Masking
from minilstm.layers.recurrent import LSTM

__all__ = ["LSTM", "Dense", "Embedding", "Layer", "Masking"]
