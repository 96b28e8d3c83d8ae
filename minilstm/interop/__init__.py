"""Weights and models in and out: Keras, PyTorch, ONNX. None of them needs to be installed to read its files.

    keras      arrays in Keras's order; .keras and .weights.h5 files (with h5py, the extra "keras")
    pytorch    the state dicts of LSTM, GRU, RNN, Linear and Embedding
    onnx       whole models as ONNX graphs (with onnx, the extra "onnx")

What the gates' blocks are called and how they stand, in the order of the columns of W, U and b:

    LSTM   here i f g o    Keras i f c o    PyTorch i f g o    ONNX i o f c
    GRU    here z r g      Keras z r h      PyTorch r z n      ONNX z r h
"""

from minilstm.interop.keras import from_keras, load_keras_weights, to_keras
from minilstm.interop.onnx import to_onnx
from minilstm.interop.pytorch import from_torch_state_dict, to_torch_state_dict

__all__ = [
    "from_keras",
    "from_torch_state_dict",
    "load_keras_weights",
    "to_keras",
    "to_onnx",
    "to_torch_state_dict",
]
