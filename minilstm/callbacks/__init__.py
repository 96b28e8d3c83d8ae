"""Callbacks: ways to look on, to save, to change the learning rate or to stop, while fit runs.

The words are Keras's. What differs on purpose: a monitored NaN is never an improvement; who monitors a value
that is never reported is told once per fit; CSVLogger writes only columns that exist.
"""

from minilstm.callbacks.base import Callback, Logs
from minilstm.callbacks.gradient_tracer import GradientTracer
from minilstm.callbacks.monitors import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau
from minilstm.callbacks.observers import (
    CSVLogger,
    LambdaCallback,
    LearningRateScheduler,
    TerminateOnNaN,
)
from minilstm.callbacks.scalars import Scalars, TensorBoard

__all__ = [
    "CSVLogger", "Callback", "EarlyStopping", "GradientTracer", "LambdaCallback", "LearningRateScheduler",
    "Logs", "ModelCheckpoint", "ReduceLROnPlateau", "Scalars", "TensorBoard", "TerminateOnNaN",
]  # fmt: skip
