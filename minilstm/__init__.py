"""An LSTM from scratch that shows what sequence length does.

    model = ml.Sequential([ml.LSTM(32), ml.Dense(1, "sigmoid")], seed=0)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=5)           # x (N, T, D), y (N,)
    print(model.trace(x[:32], y[:32]))  # what happened at each time step

Its names, each imported when first used; help(ml.LSTM) tells of one:

    Models      Sequential, LSTMClassifier, LSTMRegressor, load_model
    Layers      LSTM, GRU, SimpleRNN, RNN, cell, Bidirectional, Embedding,
                TimeDistributed, Masking, Input, Dense, Activation, Dropout,
                Flatten, GlobalAveragePooling1D, LayerNormalization,
                RepeatVector
    Losses      BinaryCrossentropy, CategoricalCrossentropy,
                SparseCategoricalCrossentropy, MeanSquaredError,
                MeanAbsoluteError, Huber, LogCosh, CustomLoss
    Metrics     TopKCategoricalAccuracy, SparseTopKCategoricalAccuracy
    Optimizers  SGD, RMSprop, Adam, AdamW, LearningRateSchedule,
                CosineDecay, CosineDecayRestarts, ExponentialDecay,
                InverseTimeDecay, PiecewiseConstantDecay, PolynomialDecay
    Callbacks   Callback, CSVLogger, EarlyStopping, GradientTracer,
                LambdaCallback, LearningRateScheduler, ModelCheckpoint,
                ReduceLROnPlateau, TerminateOnNaN; History
    Sequences   pad_sequences, truncate, lengths_to_mask, padding_audit,
                sliding_windows, LengthBuckets, Vocabulary,
                pack_padded_sequence, pad_packed_sequence, Stream, Warmup,
                stream_warmup; load_digits, recall, adding
    Length      length_study, truncation_study, TruncationStudy, Trace,
                reproduce
    Checks      gradcheck, check_step, check_sequence
    Others      get_num_threads, set_num_threads, NonFiniteError,
                PaddingWarning, WeightsFileError

The folders, each importing only from those before it:

    bptt            the lesson, an afternoon: backpropagation through time
    sequences       pad, truncate, mask
    checkpoints     which steps to run again, where memory is bounded
    cells           cells beyond the lesson, and how to make one
    compiled        the steps of bptt in Numba, under the same tags
    trace           what happened at each time step
    layers          Keras's words on the outside, symbols on the inside
    network         layers in a row: forward, loss, backward, batches
    streams         a model that reads sequences as they come
    training        the loop of fit
    model           Sequential: fit, evaluate, predict, trace
    gradient_check  is a backward pass right?
    plots           the figures
    study           the main job: accuracy, cost, gradients against length

What all of them may use stands in `foundations`: errors, arrays, files.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from minilstm.foundations import forks as _forks  # noqa: F401  first: a fork waits for imports from here on

__version__ = "0.2.0"

_HOMES = {
    "minilstm.classic.results": ["reproduce"],
    "minilstm.cells": ["cell"],
    "minilstm.callbacks": [
        "CSVLogger", "Callback", "EarlyStopping", "GradientTracer", "LambdaCallback",
        "LearningRateScheduler", "ModelCheckpoint", "ReduceLROnPlateau", "TerminateOnNaN",
    ],
    "minilstm.datasets": ["adding", "load_digits", "recall"],
    "minilstm.interop.estimators": ["LSTMClassifier", "LSTMRegressor"],
    "minilstm.interop.loading": ["load_model"],
    "minilstm.foundations.errors": ["NonFiniteError", "PaddingWarning", "WeightsFileError"],
    "minilstm.gradient_check": ["check_sequence", "check_step", "gradcheck"],
    "minilstm.network.progress": ["History"],
    "minilstm.layers": [
        "GRU", "LSTM", "Activation", "Bidirectional", "Dense", "Dropout", "Embedding", "Flatten",
        "GlobalAveragePooling1D", "Input", "LayerNormalization", "Masking", "RNN", "RepeatVector",
        "SimpleRNN", "TimeDistributed",
    ],
    "minilstm.losses": [
        "BinaryCrossentropy", "CategoricalCrossentropy", "CustomLoss", "Huber", "LogCosh",
        "MeanAbsoluteError", "MeanSquaredError", "SparseCategoricalCrossentropy",
    ],
    "minilstm.metrics": ["SparseTopKCategoricalAccuracy", "TopKCategoricalAccuracy"],
    "minilstm.model": ["Sequential"],
    "minilstm.optimizers": [
        "SGD", "Adam", "AdamW", "CosineDecay", "CosineDecayRestarts", "ExponentialDecay",
        "InverseTimeDecay", "LearningRateSchedule", "PiecewiseConstantDecay", "PolynomialDecay", "RMSprop",
    ],
    "minilstm.sequences": [
        "LengthBuckets", "Vocabulary", "lengths_to_mask", "pack_padded_sequence", "pad_packed_sequence",
        "pad_sequences", "padding_audit", "sliding_windows", "truncate",
    ],
    "minilstm.streams": ["Stream", "Warmup", "stream_warmup"],
    "minilstm.study.truncation": ["TruncationStudy", "truncation_study"],
    "minilstm.study": ["length_study"],
    "minilstm.compiled.threads": ["get_num_threads", "set_num_threads"],
    "minilstm.trace.trace": ["Trace"],
}  # fmt: skip
_PLACES = {name: home for home, names in _HOMES.items() for name in names}
# without scikit-learn the estimators are not listed
_ABSENT = set() if find_spec("sklearn") else set(_HOMES["minilstm.interop.estimators"])

# help() prints whole every class that stands here, so that only modules do; dir() lists all names
__all__ = ["cells", "initializers", "interop", "keras", "plots", "regularizers"]

if TYPE_CHECKING:
    from minilstm import cells as cells
    from minilstm import initializers as initializers
    from minilstm import interop as interop
    from minilstm import keras as keras
    from minilstm import plots as plots
    from minilstm import regularizers as regularizers
    from minilstm.callbacks import Callback as Callback
    from minilstm.callbacks import CSVLogger as CSVLogger
    from minilstm.callbacks import EarlyStopping as EarlyStopping
    from minilstm.callbacks import GradientTracer as GradientTracer
    from minilstm.callbacks import LambdaCallback as LambdaCallback
    from minilstm.callbacks import LearningRateScheduler as LearningRateScheduler
    from minilstm.callbacks import ModelCheckpoint as ModelCheckpoint
    from minilstm.callbacks import ReduceLROnPlateau as ReduceLROnPlateau
    from minilstm.callbacks import TerminateOnNaN as TerminateOnNaN
    from minilstm.cells import cell as cell
    from minilstm.classic.results import reproduce as reproduce
    from minilstm.compiled.threads import get_num_threads as get_num_threads
    from minilstm.compiled.threads import set_num_threads as set_num_threads
    from minilstm.datasets import adding as adding
    from minilstm.datasets import load_digits as load_digits
    from minilstm.datasets import recall as recall
    from minilstm.foundations.errors import NonFiniteError as NonFiniteError
    from minilstm.foundations.errors import PaddingWarning as PaddingWarning
    from minilstm.foundations.errors import WeightsFileError as WeightsFileError
    from minilstm.gradient_check import check_sequence as check_sequence
    from minilstm.gradient_check import check_step as check_step
    from minilstm.gradient_check import gradcheck as gradcheck
    from minilstm.interop.estimators import LSTMClassifier as LSTMClassifier
    from minilstm.interop.estimators import LSTMRegressor as LSTMRegressor
    from minilstm.interop.loading import load_model as load_model
    from minilstm.layers import GRU as GRU
    from minilstm.layers import LSTM as LSTM
    from minilstm.layers import RNN as RNN
    from minilstm.layers import Activation as Activation
    from minilstm.layers import Bidirectional as Bidirectional
    from minilstm.layers import Dense as Dense
    from minilstm.layers import Dropout as Dropout
    from minilstm.layers import Embedding as Embedding
    from minilstm.layers import Flatten as Flatten
    from minilstm.layers import GlobalAveragePooling1D as GlobalAveragePooling1D
    from minilstm.layers import Input as Input
    from minilstm.layers import LayerNormalization as LayerNormalization
    from minilstm.layers import Masking as Masking
    from minilstm.layers import RepeatVector as RepeatVector
    from minilstm.layers import SimpleRNN as SimpleRNN
    from minilstm.layers import TimeDistributed as TimeDistributed
    from minilstm.losses import BinaryCrossentropy as BinaryCrossentropy
    from minilstm.losses import CategoricalCrossentropy as CategoricalCrossentropy
    from minilstm.losses import CustomLoss as CustomLoss
    from minilstm.losses import Huber as Huber
    from minilstm.losses import LogCosh as LogCosh
    from minilstm.losses import MeanAbsoluteError as MeanAbsoluteError
    from minilstm.losses import MeanSquaredError as MeanSquaredError
    from minilstm.losses import SparseCategoricalCrossentropy as SparseCategoricalCrossentropy
    from minilstm.metrics import SparseTopKCategoricalAccuracy as SparseTopKCategoricalAccuracy
    from minilstm.metrics import TopKCategoricalAccuracy as TopKCategoricalAccuracy
    from minilstm.model import Sequential as Sequential
    from minilstm.network.progress import History as History
    from minilstm.optimizers import SGD as SGD
    from minilstm.optimizers import Adam as Adam
    from minilstm.optimizers import AdamW as AdamW
    from minilstm.optimizers import CosineDecay as CosineDecay
    from minilstm.optimizers import CosineDecayRestarts as CosineDecayRestarts
    from minilstm.optimizers import ExponentialDecay as ExponentialDecay
    from minilstm.optimizers import InverseTimeDecay as InverseTimeDecay
    from minilstm.optimizers import LearningRateSchedule as LearningRateSchedule
    from minilstm.optimizers import PiecewiseConstantDecay as PiecewiseConstantDecay
    from minilstm.optimizers import PolynomialDecay as PolynomialDecay
    from minilstm.optimizers import RMSprop as RMSprop
    from minilstm.sequences import LengthBuckets as LengthBuckets
    from minilstm.sequences import Vocabulary as Vocabulary
    from minilstm.sequences import lengths_to_mask as lengths_to_mask
    from minilstm.sequences import pack_padded_sequence as pack_padded_sequence
    from minilstm.sequences import pad_packed_sequence as pad_packed_sequence
    from minilstm.sequences import pad_sequences as pad_sequences
    from minilstm.sequences import padding_audit as padding_audit
    from minilstm.sequences import sliding_windows as sliding_windows
    from minilstm.sequences import truncate as truncate
    from minilstm.streams import Stream as Stream
    from minilstm.streams import Warmup as Warmup
    from minilstm.streams import stream_warmup as stream_warmup
    from minilstm.study import length_study as length_study
    from minilstm.study.truncation import TruncationStudy as TruncationStudy
    from minilstm.study.truncation import truncation_study as truncation_study
    from minilstm.trace.trace import Trace as Trace
else:  # unknown to a type checker, which thus sees a name that is not there

    def __getattr__(name: str) -> Any:
        if name in __all__:
            return import_module(f"minilstm.{name}")
        if name in _ABSENT:
            raise ModuleNotFoundError(
                f"{name} needs scikit-learn: pip install 'minilstm[sklearn]'", name="sklearn"
            )
        if name in _PLACES:
            return getattr(import_module(_PLACES[name]), name)
        reason = None if name.startswith("_") else import_module("minilstm.layers.refused").why_not(name)
        raise AttributeError(
            f"module 'minilstm' has no attribute {name!r}" + (f": {reason}" if reason else "")
        )


def __dir__() -> list[str]:
    return sorted({*_PLACES, *__all__, "__version__"} - _ABSENT)
