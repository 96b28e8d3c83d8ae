"""Layers in Keras's words (units, kernel, recurrent_kernel, bias), with explicit forward and backward."""

from minilstm.layers.base import Layer
from minilstm.layers.bidirectional import Bidirectional
from minilstm.layers.dense import Dense
from minilstm.layers.dropout import Dropout
from minilstm.layers.embedding import Embedding
from minilstm.layers.gru import GRU
from minilstm.layers.input import Input
from minilstm.layers.kinds import KINDS, is_kind, label, recurrent
from minilstm.layers.lstm import LSTM
from minilstm.layers.masking import Masking
from minilstm.layers.pooling import GlobalAveragePooling1D
from minilstm.layers.recurrent import Recurrent
from minilstm.layers.rnn import RNN
from minilstm.layers.simple_rnn import SimpleRNN
from minilstm.layers.wrappers import TimeDistributed

RECURRENT: dict[str, type[LSTM] | type[GRU] | type[SimpleRNN]]
RECURRENT = {"lstm": LSTM, "gru": GRU, "simple_rnn": SimpleRNN}  # by the name of the cell

__all__ = [
    "GRU",
    "KINDS",
    "LSTM",
    "RECURRENT",
    "RNN",
    "Bidirectional",
    "Dense",
    "Dropout",
    "Embedding",
    "GlobalAveragePooling1D",
    "Input",
    "Layer",
    "Masking",
    "Recurrent",
    "SimpleRNN",
    "TimeDistributed",
    "is_kind",
    "label",
    "recurrent",
]
