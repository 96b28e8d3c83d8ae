"""Layers in Keras's words (units, kernel, recurrent_kernel, bias), with explicit forward and backward."""

from minilstm.layers.base import Layer
from minilstm.layers.bidirectional import Bidirectional
from minilstm.layers.dense import Dense
from minilstm.layers.dropout import Dropout
from minilstm.layers.embedding import Embedding
from minilstm.layers.gru import GRU
from minilstm.layers.input import Input
from minilstm.layers.kinds import HANDED_OVER, KINDS, cells_in, is_kind, kind_of, label, maker_of
from minilstm.layers.layer_normalization import LayerNormalization
from minilstm.layers.lstm import LSTM
from minilstm.layers.masking import Masking
from minilstm.layers.pooling import GlobalAveragePooling1D
from minilstm.layers.recurrent import Recurrent
from minilstm.layers.reshaping import Activation, Flatten, RepeatVector
from minilstm.layers.rnn import RNN
from minilstm.layers.simple_rnn import SimpleRNN
from minilstm.layers.wrappers import TimeDistributed

RECURRENT: dict[str, type[LSTM] | type[GRU] | type[SimpleRNN]]
RECURRENT = {"lstm": LSTM, "gru": GRU, "simple_rnn": SimpleRNN}  # by the name of the cell

__all__ = [
    "GRU", "HANDED_OVER", "KINDS", "LSTM", "RECURRENT", "RNN", "Activation", "Bidirectional", "Dense",
    "Dropout", "Embedding", "Flatten", "GlobalAveragePooling1D", "Input", "Layer", "LayerNormalization",
    "Masking", "Recurrent", "RepeatVector", "SimpleRNN", "TimeDistributed", "cells_in", "is_kind",
    "kind_of", "label", "maker_of",
]  # fmt: skip
