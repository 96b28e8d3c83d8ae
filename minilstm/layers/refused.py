"""Layers and models of Keras that are not built here, each with a sentence on what there is instead.

minilstm is a laboratory for recurrent networks: layers in a row, one input, one output.
"""

from __future__ import annotations

ROW = "Sequential goes as far as layers in a row, with one input and one output"
CONVOLUTION = "convolutions are not built: the way over time is a recurrent layer, LSTM, GRU or SimpleRNN"
POOLING = "of the pooling layers GlobalAveragePooling1D is built"
BATCH = "normalization over the batch is not built; LayerNormalization normalizes each step by itself"
CODE = (
    "nothing here finds the derivative of a call; ml.cell makes a recurrent cell of a function, for ml.RNN, "
    "and a layer of your own gives output_shape, forward and backward"
)
RESHAPING = "of the layers that change a shape RepeatVector and Flatten are built"
NOISE = "of the layers that are active in training only Dropout is built"

REFUSED_LAYERS = {
    "Model": f"functional models are not built: {ROW}",
    "Functional": f"functional models are not built: {ROW}",
    "Add": f"layers of several inputs are not built: {ROW}",
    "Average": f"layers of several inputs are not built: {ROW}",
    "Concatenate": f"layers of several inputs are not built: {ROW}",
    "Dot": f"layers of several inputs are not built: {ROW}",
    "Multiply": f"layers of several inputs are not built: {ROW}",
    "Attention": f"attention is not built: {ROW}",
    "MultiHeadAttention": f"attention is not built: {ROW}",
    "Conv1D": CONVOLUTION,
    "Conv2D": CONVOLUTION,
    "ConvLSTM1D": CONVOLUTION,
    "ConvLSTM2D": CONVOLUTION,
    "SeparableConv1D": CONVOLUTION,
    "AveragePooling1D": POOLING,
    "GlobalMaxPooling1D": POOLING,
    "MaxPooling1D": POOLING,
    "MaxPool1D": POOLING,
    "BatchNormalization": BATCH,
    "GroupNormalization": BATCH,
    "UnitNormalization": BATCH,
    "Lambda": CODE,
    "StackedRNNCells": CODE,
    "LSTMCell": CODE,
    "GRUCell": CODE,
    "SimpleRNNCell": CODE,
    "Cropping1D": RESHAPING,
    "Permute": RESHAPING,
    "Reshape": RESHAPING,
    "UpSampling1D": RESHAPING,
    "ZeroPadding1D": RESHAPING,
    "GaussianDropout": NOISE,
    "GaussianNoise": NOISE,
    "SpatialDropout1D": f"{NOISE}; dropout= of a recurrent layer is one draw for all steps, as this layer's",
    "TextVectorization": "texts become ids by Vocabulary",
    "CuDNNLSTM": "it is LSTM, whose kernels are compiled",
    "CuDNNGRU": "it is GRU, whose kernels are compiled",
}


def why_not(name: str) -> str | None:
    """Why there is no layer of that name, and what there is instead; None for a name of no layer.

    >>> why_not("MaxPooling1D")
    'of the pooling layers GlobalAveragePooling1D is built'
    """
    return REFUSED_LAYERS.get(name)
