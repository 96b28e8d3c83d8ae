"""Sequential: layers in a row, trained with explicit backpropagation.

The words and semantics are Keras's. What differs on purpose: lists are accepted wherever arrays are;
NaN in x, y or a gradient is an error and not a silent result; losses behind a sigmoid or a softmax are
computed from the logits, as Keras on TensorFlow does.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from minilstm import losses, optimizers, saving
from minilstm.bptt.cell import State
from minilstm.callbacks import Callback, TerminateOnNaN
from minilstm.errors import NonFiniteError, one_of, whole_number, wording
from minilstm.layers import Bidirectional, Layer, Recurrent
from minilstm.layers.base import Array, Shape, checked_list
from minilstm.layers.wrappers import inside
from minilstm.losses import Loss
from minilstm.metrics import TopK
from minilstm.metrics import check as _check_metrics
from minilstm.network import batches, passes
from minilstm.network.batches import Batch, Given
from minilstm.network.progress import History, Means, Progress
from minilstm.optimizers import Optimizer
from minilstm.tables import in_columns
from minilstm.trace.nonfinite import find_origin
from minilstm.trace.trace import Trace
from minilstm.training.fit import Fit, Hooks, Step, score
from minilstm.training.progress_bar import ProgressBar

DROPOUT = 2**32 - 1  # key of the layers' randomness, beside the keys that `spawn` counts from 0
NOT_USED = np.random.default_rng(0)  # says "training" to layers that draw nothing


class Sequential:
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

    def __init__(
        self,
        layers: Sequence[Layer] | None = None,
        *,
        dtype: str = "float32",
        seed: int | None = None,
        name: str = "sequential",
    ) -> None:
        name_of = dtype if isinstance(dtype, str) else np.dtype(dtype).name
        self.dtype = np.dtype(one_of("dtype", name_of, ("float32", "float64")))
        if isinstance(layers, Layer):
            raise TypeError(wording("layers", "a list of layers", f"one {type(layers).__name__}"))
        if seed is not None:
            whole_number("seed", seed, 0)
        self._seeds = np.random.SeedSequence(seed)
        self._shuffle = np.random.default_rng(self._seeds.spawn(1)[0])
        self.steps_taken = 0  # training steps since the model was made
        self.name = name
        self.layers: list[Layer] = []
        self.optimizer: Optimizer | None = None
        self.loss: Loss | None = None
        self.metrics: tuple[str | TopK, ...] = ()
        self.progress: Progress | None = None  # of the last fit
        self.stop_training = False
        for layer in layers or []:
            self.add(layer)

    # ------------------------------------------------------------ structure

    def add(self, layer: Layer) -> None:
        """Add a layer at the end, and build it if its input's shape is known."""
        if not isinstance(layer, Layer):
            raise TypeError(wording("layer", "a minilstm layer", f"{type(layer).__name__}: {layer!r}"))
        if getattr(layer, "return_state", False):
            expected = "without return_state in a Sequential, which passes one array from layer to layer"
            raise ValueError(wording(f"layer {layer.label!r}", expected, "return_state=True"))
        if isinstance(layer, Bidirectional) and layer.merge_mode is None:
            expected = "merged in a Sequential, which passes one array from layer to layer"
            raise ValueError(wording(f"layer {layer.label!r}", expected, "merge_mode=None"))
        taken = [other.name for other in self.layers]
        if layer.name is None:
            base = layer.default_name()
            names = (base if k == 0 else f"{base}_{k}" for k in range(len(taken) + 1))
            layer.name = next(name for name in names if name not in taken)
        elif layer.name in taken:
            raise ValueError(wording("layer names", "unique in a model", f"{layer.name!r} twice"))
        before = self.output_shape if self.built and self.layers else None
        shape = layer.input_shape if before is None else before
        if shape is not None and (self.built or not self.layers):
            self._build_layer(layer, shape)
        self.layers.append(layer)

    @property
    def built(self) -> bool:
        """Whether all weights exist."""
        return all(layer.built for layer in self.layers)

    @property
    def input_shape(self) -> Shape | None:
        """Shape of one sample, None while it is not known."""
        return self.layers[0].input_shape if self.layers else None

    @property
    def output_shape(self) -> Shape:
        """Shape of one sample's output."""
        last = self.layers[-1]
        if last.input_shape is None or not self.built:
            raise RuntimeError("the model has no output shape before it is built")
        return last.output_shape(last.input_shape)

    def _build_layer(self, layer: Layer, shape: Shape) -> None:
        layer.build(shape, np.random.default_rng(self._seeds.spawn(1)[0]), self.dtype)

    def _build(self, shape: Shape) -> None:
        for layer in self.layers:
            self._build_layer(layer, shape)
            shape = layer.output_shape(shape)

    @property
    def named_weights(self) -> dict[str, Array]:
        """The weights themselves (no copies) under names such as "lstm/kernel"."""
        return {f"{layer.name}/{key}": value for layer in self.layers for key, value in layer.params.items()}

    def get_weights(self) -> list[Array]:
        """Copies of all weights, in Keras's order and shapes."""
        return [value.copy() for value in self.named_weights.values()]

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Take over weights in Keras's order and shapes; nothing is changed if one of them does not fit."""
        weights = checked_list("weights", weights)
        counts = [len(layer.params) for layer in self.layers]
        if len(weights) != sum(counts):
            raise ValueError(wording("weights", f"{sum(counts)} arrays", len(weights)))
        before = self.get_weights()
        start = 0
        for layer, count in zip(self.layers, counts, strict=True):
            try:
                layer.set_weights(weights[start : start + count])
            except (TypeError, ValueError):
                for value, old in zip(self.named_weights.values(), before, strict=True):
                    value[...] = old
                raise
            start += count

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the whole model to `path`, which ends in .npz or .safetensors; `load_model` reads it.

        Layers, weights, optimizer with its state, random state and history: training goes on with the same
        bits. The file is whole or the old one is still there, whatever happens on the way; it holds no pickle
        and no code. Both formats are the usual ones, and other tools can read the arrays.

        Raises ValueError for another suffix, or for an object in the model that is not of minilstm's own
        classes; OSError that names the file where it cannot be written.
        """
        saving.save(self, path)

    @property
    def history(self) -> History | None:
        """What the last fit found, also where it was interrupted; None before the first."""
        return None if self.progress is None else self.progress.history

    def save_weights(self, path: str | os.PathLike[str]) -> None:
        """Write the weights alone to `path`, as `save` does; `load_weights` reads them."""
        saving.save_weights(self, path)

    def load_weights(self, path: str | os.PathLike[str]) -> None:
        """Take over the weights in a file of `save_weights` or `save`; names of layers do not matter.

        Raises WeightsFileError, and changes nothing, where the file is damaged or a shape does not fit.
        """
        saving.load_weights(self, path)

    def count_params(self) -> int:
        """Number of weights."""
        return sum(layer.count_params() for layer in self.layers)

    def memory(self, batch: int, length: int) -> dict[str, int]:
        """Bytes of each recurrent layer's tape for a training batch of `batch` sequences of `length` steps.

        To the byte what waits between the forward and the backward pass; inputs, weights and the
        optimizer's state apart.

        >>> import minilstm as ml
        >>> ml.Sequential([ml.LSTM(64, input_shape=(None, 10))]).memory(32, 1000)
        {'lstm': 50594176}
        """
        whole_number("batch", batch), whole_number("length", length)
        if not self.built:
            raise RuntimeError("the model must be built first: give the first layer input_shape=(T, D)")
        sizes: dict[str, int] = {}
        for layer in self.layers:
            sizes |= layer.memory(batch, length)
        return sizes

    def summary(self, print_fn: Callable[[str], Any] = print) -> None:
        """Print the layers with their output shapes and numbers of weights."""
        rows = [("Layer (type)", "Output shape", "Param #")]
        for layer in self.layers:
            label = f"{layer.name} ({type(layer).__name__})"
            if layer.input_shape is None or not layer.built:
                rows.append((label, "?", "0 (unbuilt)"))
                continue
            shape = ", ".join(str(size) for size in (None, *layer.output_shape(layer.input_shape)))
            rows.append((label, f"({shape})", f"{layer.count_params():,}"))
        lines = in_columns(rows, left=2, rule=True)
        total, size = self.count_params(), self.count_params() * self.dtype.itemsize
        lines.append(f"Total params: {total:,} ({size / 1024:.2f} KB)")
        print_fn("\n".join([f'Model: "{self.name}", {self.dtype.name}', *lines]))

    # ------------------------------------------------------------ one step

    def _train_step(self, batch: Batch) -> Step:
        """One update; NonFiniteError, and the weights as they were, where loss or gradient is not finite."""
        optimizer, loss = self._compiled()
        done = passes.forward(self.layers, batch.x, batch.mask, keep="gradient", rng=self._rng())
        found = passes.loss_and_gradient(self.layers, loss, batch.y, done, batch.weight)
        clipped, update = optimizer.prepare(passes.backward(self.layers, found, done)[0])
        if not (math.isfinite(found.value) and math.isfinite(update.norm)):
            raise self._nonfinite(batch)
        optimizer.backend = self._backend
        optimizer.step(self.named_weights, clipped)
        self.steps_taken += 1
        return Step(found.value, update, done)

    @property
    def _backend(self) -> str:
        """ "numba" where compiled kernels take part in training."""
        found = (getattr(layer, "training_backend", "numpy") for layer in inside(self.layers))
        return "numba" if "numba" in found else "numpy"

    def _rng(self) -> np.random.Generator:
        """Randomness of the layers in the next training step; the same when asked again before the step."""
        if not any(layer.draws for layer in self.layers):
            return NOT_USED
        key = (*self._seeds.spawn_key, DROPOUT, self.steps_taken)
        return np.random.default_rng(np.random.SeedSequence(self._seeds.entropy, spawn_key=key))

    def _nonfinite(self, batch: Batch) -> NonFiniteError:
        """The error that says what is not finite and where it arose: the same pass again, traced."""
        trace = self._trace(batch, rng=self._rng())
        bad = [name for name, grad in trace.grads.items() if not np.isfinite(grad).all()]
        what = f"the gradient of {bad[0]}" if bad else "the norm of the gradients"
        if not math.isfinite(trace.loss):
            what = f"the loss ({trace.loss})"
        origin = find_origin(trace, self.named_weights)
        return NonFiniteError(f"{what} is not finite" + (f": {origin}" if origin else ""), origin)

    # ------------------------------------------------------------ public: training

    def compile(
        self,
        optimizer: str | Optimizer = "rmsprop",
        loss: str | Loss | None = None,
        metrics: Sequence[str | TopK] | None = None,
    ) -> None:
        """Choose the optimizer, the loss and the metrics, by name or as objects."""
        checked = _check_metrics(metrics)
        self.optimizer = optimizers.get(optimizer)
        self.loss = None if loss is None else losses.get(loss)
        self.metrics = checked

    def _compiled(self) -> tuple[Optimizer, Loss]:
        if self.optimizer is None:
            raise RuntimeError(
                "the model must be compiled first: call model.compile(optimizer=..., loss=...)"
            )
        if self.loss is None:
            raise RuntimeError("the model was compiled without a loss: call model.compile(loss=...)")
        return self.optimizer, self.loss

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
        validation_data, validation_mask : (x, y) or (x, y, sample_weight) and their mask, or an iterable of
            batches, evaluated after each epoch
        shuffle : a new order of the samples in each epoch, from the model's seed; iterables keep theirs
        class_weight : {class: weight}, 1 for a class that is not named; not applied to validation
        sample_weight : (N,), or (N, T) for outputs at each step; multiplies the loss, whose divisor stays
        initial_epoch : number of the first epoch; training ends before `epochs`, not after so many
        steps_per_epoch, validation_steps : batches in an epoch, for iterables; needed for an iterator that
            is to last for more than one epoch
        validation_batch_size : `batch_size` if None
        mask : (N, T), True = real step, beside the masks that Masking and Embedding make
        on_nonfinite : "raise" a NonFiniteError where loss or gradient is NaN or infinite, "stop" training
            there as TerminateOnNaN does, or "skip" the batch without an update; History.nonfinite says where

        Returns
        -------
        History; as in Keras its loss and metrics are means over the epoch's batches, each measured
        before its update.

        Raises
        ------
        ValueError, TypeError : an argument cannot be meant; nothing was trained
        NonFiniteError : loss or gradient became NaN or infinite; the weights are those before that batch
        """
        self._compiled()
        one_of("on_nonfinite", on_nonfinite, ("raise", "stop", "skip"))
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
        data, held_out = batches.training_data(
            self, given, validation, validation_split, class_weight, epochs - first
        )
        stops = any(isinstance(callback, TerminateOnNaN) for callback in found)
        if stops:
            on_nonfinite = "stop"
        return Fit(self, data, held_out, epochs, first, shuffle, level, found, on_nonfinite).run()

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
        batch = batches.checked(self, x, y, mask, sample_weight)
        batch = batches.weigh_classes(self, batch, class_weight)
        step = self._train_step(batch)
        means = Means()
        means.add(step.loss, batch, step.done)
        return _as_keras(means.result(), return_dict)

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

        Arguments as in fit, `steps` as `steps_per_epoch`; unlike Keras's, silent unless asked.
        """
        given = Given("x", x, y, sample_weight, mask, batch_size, steps, "steps")
        data, found = batches.source(self, given), checked_callbacks(callbacks)
        hooks = Hooks(found, self, {"verbose": verbose, "steps": data.steps})
        return _as_keras(
            score(self, data, hooks, ProgressBar(data.steps, checked_verbose(verbose))), return_dict
        )

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int | str = 0,
        steps: int | None = None,
        *,
        mask: ArrayLike | None = None,
    ) -> Array:
        """The model's output for x, (N, ...), in the model's dtype.

        x, batch_size and mask as in fit; of an iterable's batches only x and mask are used, and a batch may
        be x alone. `steps`: so many of them. Unlike Keras's, silent unless asked.
        """
        outputs: list[Array] = []
        bar = ProgressBar(None, checked_verbose(verbose))
        for part, real in batches.prediction_inputs(self, x, mask, batch_size, steps):
            outputs.append(self._output(part, real))
            bar.update(len(outputs), {})
        bar.close(len(outputs), {})
        return np.concatenate(outputs)

    def predict_on_batch(self, x: ArrayLike, mask: ArrayLike | None = None) -> Array:
        """The model's output for one batch."""
        return self._output(*batches.checked_inputs(self, x, mask))

    # ------------------------------------------------------------ public: looking inside

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
        batch = batches.checked(self, x, y, mask)
        if not any(isinstance(layer, Recurrent) for layer in inside(self.layers)):
            expected = "with at least one recurrent layer, to be traced"
            raise ValueError(wording("model", expected, [type(layer).__name__ for layer in self.layers]))
        return self._trace(batch, states=self._checked_states(initial_state, batch.size))

    def _checked_states(
        self, initial_state: dict[str, Sequence[ArrayLike]] | None, B: int
    ) -> dict[str, State]:
        """Initial states by layer name, each as its layer wants them."""
        if initial_state is not None and not isinstance(initial_state, dict):
            expected = "a dict of [h, c] by layer name"
            raise TypeError(wording("initial_state", expected, type(initial_state).__name__))
        recurrent = {
            layer.label: layer for layer in self.layers if isinstance(layer, (Recurrent, Bidirectional))
        }
        for name in initial_state or {}:
            one_of("initial_state", name, recurrent)
        return {name: recurrent[name].checked_state(s, B) for name, s in (initial_state or {}).items()}

    def _trace(
        self,
        batch: Batch,
        *,
        states: dict[str, State] | None = None,
        rng: np.random.Generator | None = None,
    ) -> Trace:
        done = passes.forward(self.layers, batch.x, batch.mask, keep="trace", rng=rng, states=states)
        loss = passes.loss_and_gradient(self.layers, self._compiled()[1], batch.y, done, batch.weight)
        grads, traces = passes.backward(self.layers, loss, done, record=True)
        return Trace(loss.value, done.output, grads, traces)

    def _output(self, x: Array, mask: Array | None) -> Array:
        if len(x) == 0:
            return np.zeros((0, *batches.output_shape(self, x)), self.dtype)
        return passes.forward(self.layers, x, mask, keep="nothing").output


def checked_callbacks(callbacks: Sequence[Callback] | Callback | None) -> list[Callback]:
    """`callbacks` as a list; TypeError where one is none."""
    found = [callbacks] if isinstance(callbacks, Callback) else list(callbacks or [])
    for callback in found:
        if not isinstance(callback, Callback):
            raise TypeError(wording("callbacks", "a list of Callback objects", repr(callback)))
    return found


def checked_verbose(verbose: int | str) -> int:
    """`verbose` as 0, 1 or 2; ValueError otherwise."""
    if verbose not in (0, 1, 2, "auto"):
        raise ValueError(wording("verbose", "0, 1, 2 or 'auto'", repr(verbose)))
    return 1 if verbose == "auto" else int(verbose)


def _as_keras(logs: dict[str, float], as_dict: bool) -> float | list[float] | dict[str, float]:
    values = list(logs.values())
    return logs if as_dict else values[0] if len(values) == 1 else values


def load_model(path: str | os.PathLike[str]) -> Sequential:
    """The model that `Sequential.save` wrote to `path`; training it goes on with the same bits.

    Raises WeightsFileError, with the path and the reason, for anything that is not such a file, whole and
    unchanged: damaged, truncated, foreign, of a newer format. A file can make this run no code, and take no
    more memory than its own size and some megabytes. Raises OSError where the file cannot be read.

    >>> import os, tempfile
    >>> import minilstm as ml
    >>> model = ml.Sequential([ml.LSTM(4, input_shape=(None, 2)), ml.Dense(1)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(os.path.join(folder, "model.npz"))
    ...     again = ml.load_model(os.path.join(folder, "model.npz"))
    >>> x = np.ones((3, 5, 2))
    >>> bool((again.predict(x) == model.predict(x)).all())
    True
    """
    model = Sequential()
    saving.restore(model, path)
    return model
