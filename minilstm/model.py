"""Sequential: layers in a row, trained with explicit backpropagation.

The words and semantics are Keras's. What differs on purpose: lists are accepted wherever arrays are;
NaN in x, y or a gradient is an error and not a silent result; losses behind a sigmoid or a softmax are
computed from the logits, as Keras on TensorFlow does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from minilstm import losses, optimizers, saving
from minilstm.callbacks import Callback, TerminateOnNaN
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import one_of, shown, spelled, switch, whole_number, wording
from minilstm.foundations.tables import in_columns
from minilstm.layers.words import tell_neutral
from minilstm.losses import Loss
from minilstm.metrics import Identifier, check_both
from minilstm.network import batches, passes, tracing
from minilstm.network.batches import Given
from minilstm.network.network import (
    Network,
    learning,
    optimizer_and_loss,
    tell_changed_learning,
    train_step,
    training_rng,
)
from minilstm.network.progress import PER_STEP, History, Means
from minilstm.network.sources import Arrays
from minilstm.optimizers import Optimizer
from minilstm.streams import Stream
from minilstm.trace.trace import Trace
from minilstm.training.arguments import checked_callbacks, checked_epochs, checked_verbose
from minilstm.training.fit import Fit, Hooks, score
from minilstm.training.progress_bar import ProgressBar


class Sequential(Network):
    """A model that passes its input through `layers`, one after the other.

    Parameters
    ----------
    layers : the layers; more can be added with `add`
    dtype : "float32" for training, "float64" for checking; of all layers
    seed : whole number for reproducible weights and shuffling; None takes entropy from the system
    name : for `summary`

    Weights exist as soon as the input's shape is known: at construction if the first layer was given
    `input_shape`, otherwise at the first fit, predict, evaluate or trace.

    Examples
    --------
    >>> import minilstm as ml
    >>> model = ml.Sequential([ml.LSTM(8, input_shape=(5, 2)), ml.Dense(1, activation="sigmoid")], seed=0)
    >>> model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    >>> history = model.fit(np.ones((6, 5, 2)), [0, 1, 0, 1, 0, 1], epochs=2, verbose=0)
    >>> sorted(history.history), model.predict(np.ones((3, 5, 2))).shape
    (['accuracy', 'loss'], (3, 1))
    """

    def __repr__(self) -> str:
        layers = ", ".join(f"{layer.name} ({type(layer).__name__})" for layer in self.layers[:6])
        more = f" and {len(self.layers) - 6} more" if len(self.layers) > 6 else ""
        weights = f"{self.count_params():,} weights" if self.built else "not built"
        return f"<{type(self).__name__}, {self.dtype}: {layers or 'no layers'}{more}; {weights}>"

    @spelled
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the whole model to `path`, which ends in .npz or .safetensors; `load_model` reads it.

        A path that ends in .keras gets layers, weights and what the model was compiled with, in the format of
        Keras 3, which loads it too. It needs h5py.

        Layers, weights, optimizer with its state, random state and history: training goes on with the same
        bits. The file is whole or the old one is still there, whatever happens on the way; it holds no pickle
        and no code. Both formats are the usual ones, and other tools can read the arrays.

        Raises ValueError for another suffix, for weights that are not finite, or for an object in the model
        that is not of minilstm's own classes; OSError that names the file where it cannot be written.
        """
        saving.save(self, path)

    @property
    def history(self) -> History | None:
        """What the last fit found, also where it was interrupted; None before the first."""
        return None if self.progress is None else self.progress.history

    @spelled
    def save_weights(self, path: str | os.PathLike[str]) -> None:
        """Write the weights alone to `path`, as `save` does; `load_weights` reads them.

        A path that ends in .weights.h5 gets them in the format of Keras 3, which loads it too. It needs h5py.
        """
        saving.save_weights(self, path)

    @spelled
    def load_weights(self, path: str | os.PathLike[str]) -> None:
        """Take over the weights in a file of `save_weights` or `save`, or of Keras 3; names do not matter.

        Raises WeightsFileError, and changes nothing, where the file is damaged or a shape does not fit.
        """
        saving.load_weights(self, path)

    @spelled
    def summary(self, print_fn: Callable[[str], Any] = print) -> None:
        """Print the layers with their output shapes and numbers of weights."""
        if not callable(print_fn):
            raise TypeError(wording("print_fn", "a function of a text", shown(print_fn)))
        rows = [("Layer (type)", "Output shape", "Param #")]
        for layer in self.layers:
            label = f"{layer.name} ({type(layer).__name__})"
            if layer.input_shape is None or not layer.built:
                rows.append((label, "?", "0 (unbuilt)"))
                continue
            shape = ", ".join(str(size) for size in (None, *layer.output_shape(layer.input_shape)))
            rows.append((label, f"({shape})", f"{layer.count_params():,}"))
        lines = in_columns(rows, left=2, rule=True)
        total, learned = self.count_params(), sum(value.size for value in self.trainable_params.values())
        counts = (("Total", total), ("Trainable", learned), ("Non-trainable", total - learned))
        for what, count in counts if learned < total else counts[:1]:
            lines.append(f"{what} params: {count:,} ({count * self.dtype.itemsize / 1024:.2f} KB)")
        print_fn("\n".join([f'Model: "{self.name}", {self.dtype.name}', *lines]))

    # ------------------------------------------------------------ public: training

    @spelled
    def compile(
        self,
        optimizer: str | Optimizer = "rmsprop",
        loss: str | Loss | Callable[..., Any] | None = None,
        metrics: Sequence[Any] | None = None,
        *,
        weighted_metrics: Sequence[Any] | None = None,
        loss_weights: None = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Choose the optimizer, the loss and the metrics, by name or as objects.

        `weighted_metrics` count rows by their sample weights. A loss of your own: see `CustomLoss`.
        What is `trainable` when a model is compiled is what training changes. The last four arguments are
        Keras's; they change nothing here. `loss_weights` are for several outputs, which no model has here.
        """
        if loss_weights is not None:
            raise ValueError(wording("loss_weights", "None: a model has one output", shown(loss_weights)))
        reason = "kernels are compiled, and batches taken one by one, whatever it says"
        if run_eagerly is not None and switch("run_eagerly", run_eagerly):
            tell_neutral("run_eagerly", reason)
        if steps_per_execution is not None and whole_number("steps_per_execution", steps_per_execution) > 1:
            tell_neutral("steps_per_execution", reason)
        if jit_compile is not None and not (isinstance(jit_compile, str) and jit_compile == "auto"):
            switch("jit_compile", jit_compile)
            tell_neutral("jit_compile", reason)
        switch("auto_scale_loss", auto_scale_loss)
        width = self.output_shape[-1] if self.layers and self.built else None
        checked: tuple[Identifier, ...] = check_both(metrics, weighted_metrics, width)
        self.optimizer = optimizers.get(optimizer)
        self.loss = losses.for_training(loss)
        self.metrics = checked
        self.learned_when_compiled = learning(self)

    @spelled
    def fit(
        self,
        x: Any,
        y: ArrayLike | None = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Sequence[Callback] | Callback | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: ArrayLike | None = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Sequence[int] = 1,
        *,
        mask: ArrayLike | None = None,
        validation_mask: ArrayLike | None = None,
        on_nonfinite: Literal["raise", "stop", "skip"] = "raise",
    ) -> History:
        """Train for `epochs` passes over x and y. Arguments in Keras's order, `mask` beside them.

        Parameters
        ----------
        x : (N, T, D), (N, T) of ids for an Embedding; arrays or lists, N >= 1. Or, without y, an iterable of
            batches: (x, y), (x, y, sample_weight) or (x, y, sample_weight, mask) each, None for what is not
            there; a list, a generator, an object with `__iter__`, or one with `__len__` and `__getitem__`
        y : targets, (N,) or (N, ...) as the loss wants them
        batch_size : 32 if None; the last batch may be shorter
        verbose : 0 silent; 1 or "auto" a bar; 2 one line per epoch
        callbacks : see `minilstm.callbacks`
        validation_split : this share of the samples, the last ones, is evaluated and not trained on
        validation_data, validation_mask : (x, y), (x, y, sample_weight) or (x, y, sample_weight, mask), or an
            iterable of batches, evaluated after each epoch; stateful layers have states of their own there.
            Where x has a mask these need one too
        shuffle : a new order of the samples in each epoch, from the model's seed; iterables keep theirs
        class_weight : {class: weight}, 1 for a class that is not named; not applied to validation
        sample_weight : (N,), or (N, T) for outputs at each step; multiplies the loss, whose divisor stays
        initial_epoch : number of the first epoch; training ends before `epochs`, not after so many
        steps_per_epoch, validation_steps : batches in an epoch; the next epoch goes on where it ended, and
            where the samples end in between, as in Keras, an epoch has fewer, after a warning. Each
            validation begins anew. Needed for an iterator that is to last for more than one epoch
        validation_batch_size : `batch_size` if None
        validation_freq : k to evaluate validation data after every k-th epoch, or a list of epochs, from 1
        mask : (N, T), True = real step, beside the masks that Masking and Embedding make
        on_nonfinite : "raise" a NonFiniteError where loss or gradient is NaN or infinite, "stop" training
            there as TerminateOnNaN does, or "skip" the batch without an update; History.nonfinite says where

        Returns
        -------
        History; as in Keras its loss and metrics are means over the epoch's batches, each measured
        before its update. Keras's mean weighs a batch with few real steps as one with many: where a mask
        reaches the loss, "loss_per_step" (and "val_loss_per_step") is the mean over all real steps.

        Raises
        ------
        ValueError, TypeError : an argument cannot be meant; nothing was trained
        NonFiniteError : loss or gradient became NaN or infinite; the weights are those before that batch
        """
        optimizer_and_loss(self)
        one_of("on_nonfinite", on_nonfinite, ("raise", "stop", "skip"))
        tell_changed_learning(self)
        epochs, first = whole_number("epochs", epochs, 0), whole_number("initial_epoch", initial_epoch, 0)
        found, level = checked_callbacks(callbacks), checked_verbose(verbose)
        if validation_batch_size is None:
            validation_batch_size = batch_size
        else:
            whole_number("validation_batch_size", validation_batch_size)
        validation = batches.validation_given(
            validation_data, validation_mask, validation_batch_size, validation_steps
        )
        given = Given("x", x, y, sample_weight, mask, batch_size, steps_per_epoch, "steps_per_epoch")
        split_steps = validation_steps if validation is None else None
        data, held_out = batches.training_data(
            self, given, validation, validation_split, split_steps, class_weight, epochs - first
        )
        for callback in found:
            if isinstance(callback, TerminateOnNaN):
                on_nonfinite = "raise" if callback.raise_error else "stop"
        freq = checked_epochs("validation_freq", validation_freq)
        return Fit(
            self, data, held_out, epochs, first, switch("shuffle", shuffle), level, found, on_nonfinite, freq
        ).run()

    @spelled
    def train_on_batch(
        self,
        x: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
        *,
        mask: ArrayLike | None = None,
    ) -> float | list[float] | dict[str, float]:
        """One update on one batch; the loss before it, or [loss, metrics...] if there are metrics."""
        switch("return_dict", return_dict)
        tell_changed_learning(self)
        batch = batches.checked(self, x, y, mask, sample_weight)
        batch = batches.weigh_classes(self, batch, class_weight)
        step = train_step(self, batch)
        means = Means()
        means.add(step.loss, batch, step.done)
        return _as_keras(means.result(), return_dict)

    @spelled
    def evaluate(
        self,
        x: Any,
        y: ArrayLike | None = None,
        batch_size: int | None = None,
        verbose: int | str = 0,
        sample_weight: ArrayLike | None = None,
        steps: int | None = None,
        callbacks: Sequence[Callback] | Callback | None = None,
        return_dict: bool = False,
        *,
        mask: ArrayLike | None = None,
    ) -> float | list[float] | dict[str, float]:
        """The loss, or [loss, metrics...] if there are metrics, or a dict of them.

        Arguments as in fit, `steps` as `steps_per_epoch`; unlike Keras's, silent unless asked. The dict has
        "loss_per_step" too where a mask reaches the loss, as in fit.
        """
        switch("return_dict", return_dict)
        found, level = checked_callbacks(callbacks), checked_verbose(verbose)
        data = batches.source(self, Given("x", x, y, sample_weight, mask, batch_size, steps, "steps"))
        hooks = Hooks(found, self, {"verbose": verbose, "steps": data.steps})
        return _as_keras(score(self, data, hooks, ProgressBar(data.steps, level)), return_dict)

    @spelled
    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int | str = 0,
        steps: int | None = None,
        callbacks: Sequence[Callback] | Callback | None = None,
        *,
        mask: ArrayLike | None = None,
    ) -> Array:
        """The model's output for x, (N, ...), in the model's dtype.

        x, batch_size and mask as in fit; of an iterable's batches only x and mask are used, and a batch may
        be x alone. `steps`: the first so many batches. An iterable that takes the samples in an order of its
        own, and tells it by `indices()`, as `LengthBuckets` does, gets its predictions in the order of the
        samples. Unlike Keras's, silent unless asked.
        """
        order = batches.order_of(x)
        outputs: list[Array] = []
        bar = ProgressBar(None, checked_verbose(verbose))
        hooks = Hooks(checked_callbacks(callbacks), self, {"verbose": verbose, "steps": steps})
        hooks("on_predict_begin", {})
        for number, (part, real) in enumerate(batches.prediction_inputs(self, x, mask, batch_size, steps)):
            hooks("on_predict_batch_begin", number, {})
            outputs.append(self._output(part, real))
            hooks("on_predict_batch_end", number, {"outputs": outputs[-1]})
            bar.update(len(outputs), {})
        bar.close(len(outputs), {})
        hooks("on_predict_end", {})
        found = np.concatenate(outputs)
        return found if order is None else found[np.argsort(order[: len(found)], kind="stable")]

    def predict_on_batch(self, x: ArrayLike, mask: ArrayLike | None = None) -> Array:
        """The model's output for one batch."""
        return self._output(*batches.checked_inputs(self, x, mask))

    def stream(self, batch: int = 1) -> Stream:
        """The model as it reads `batch` sequences as they come, step by step, each at its own state.

        Returns a Stream, which begins with states of zeros and keeps the weights of now. ValueError names a
        layer that needs the whole sequence: Bidirectional, pooling over time, `go_backwards`.
        """
        return Stream(self, batch)

    def __call__(self, inputs: ArrayLike, training: bool = False, mask: ArrayLike | None = None) -> Array:
        """The model's output for one batch, as an array; with `training` there is dropout.

        >>> import minilstm as ml
        >>> ml.Sequential([ml.LSTM(4), ml.Dense(1)])(np.ones((2, 5, 3))).shape
        (2, 1)
        """
        x, real = batches.checked_inputs(self, inputs, mask)
        if training is not None and switch("training", training) and len(x):
            return passes.forward(self.layers, x, real, keep="outputs", rng=training_rng(self)).output
        return self._output(x, real)

    @spelled
    def test_on_batch(
        self,
        x: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        return_dict: bool = False,
        *,
        mask: ArrayLike | None = None,
    ) -> float | list[float] | dict[str, float]:
        """The loss of one batch, or [loss, metrics...] if there are metrics; nothing changes."""
        switch("return_dict", return_dict)
        batch = batches.checked(self, x, y, mask, sample_weight)
        return _as_keras(score(self, Arrays(batch, batch.size), Hooks([], self, {})), return_dict)

    # ------------------------------------------------------------ public: looking inside

    @spelled
    def trace(
        self,
        x: ArrayLike,
        y: ArrayLike,
        mask: ArrayLike | None = None,
        *,
        initial_state: dict[str, Sequence[ArrayLike]] | None = None,
    ) -> Trace:
        """One forward and backward pass over x and y as one batch, with every step recorded.

        Parameters
        ----------
        x, y, mask : as in fit
        initial_state : [h, c] of (N, H) for recurrent layers, by layer name; zeros where absent; for a
            Bidirectional the list of both layers' states

        Returns
        -------
        Trace; nothing of the model changes. See `minilstm.trace.trace`.
        """
        return tracing.trace(self, x, y, mask, initial_state)

    def _output(self, x: Array, mask: Array | None) -> Array:
        if len(x) == 0:
            return np.zeros((0, *batches.output_shape(self, x)), self.dtype)
        return passes.forward(self.layers, x, mask, keep="outputs").output


def _as_keras(logs: dict[str, float], as_dict: bool) -> float | list[float] | dict[str, float]:
    values = [value for key, value in logs.items() if key != PER_STEP]
    return logs if as_dict else values[0] if len(values) == 1 else values
