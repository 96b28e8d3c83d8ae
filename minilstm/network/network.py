"""Network: layers in a row with their weights and all that changes while they are trained; one training step.

What this file is not: it knows no data beyond one checked batch (`batches`), no epochs (`training`), and
none of Keras's words for them (`model`).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike

from minilstm.bptt.cell import State
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import (
    NonFiniteError,
    by_name,
    given_name,
    instance,
    listed,
    one_of,
    shown,
    spelled,
    whole_number,
    wording,
)
from minilstm.layers import Bidirectional, Input, Layer, Recurrent
from minilstm.layers.base import Shape, WeightLists
from minilstm.layers.configs import plain, revive
from minilstm.layers.words import checked_dtype, checked_shape
from minilstm.layers.wrappers import inside
from minilstm.losses import Loss
from minilstm.metrics import Identifier
from minilstm.network import passes
from minilstm.network.passes import Batch
from minilstm.network.progress import FitState
from minilstm.network.states import layer_states, set_layer_states
from minilstm.optimizers import Optimizer, Update
from minilstm.trace.nonfinite import find_origin
from minilstm.trace.trace import Trace

DROPOUT = 2**32 - 1  # key of the layers' randomness, beside the keys that `spawn` counts from 0
NOT_USED = np.random.default_rng(0)  # says "training" to layers that draw nothing


class Network(WeightLists):
    """What `Sequential` is below the words of Keras; its arguments are explained there.

    optimizer, loss, metrics : as compiled;  progress : where the last fit stands;
    seeds : what layers and orders draw their randomness from;  shuffle : the orders of the samples;
    steps_taken : training steps since the network was made;  stop_training : set to end a fit
    """

    @spelled
    def __init__(
        self,
        layers: Sequence[Layer] | None = None,
        *,
        dtype: str = "float32",
        seed: int | None = None,
        name: str = "sequential",
    ) -> None:
        self.dtype = checked_dtype(dtype)
        if isinstance(layers, Layer):
            raise TypeError(wording("layers", "a list of layers", f"one {type(layers).__name__}"))
        self.seeds = np.random.SeedSequence(
            None if seed is None else whole_number("seed", seed, 0, wide=True)
        )
        self.shuffle = np.random.default_rng(self.seeds.spawn(1)[0])
        self.steps_taken = 0
        self.name = given_name("name", instance("name", name, str, "a text"))
        self.layers: list[Layer] = []
        self.given_shape: Shape | None = None  # of one sample, by an Input
        self.optimizer: Optimizer | None = None
        self.loss: Loss | None = None
        self.metrics: tuple[Identifier, ...] = ()
        self.progress: FitState | None = None
        self.stop_training = False
        self.learned_when_compiled: list[bool] | None = None
        for layer in listed("layers", "a list of layers", [] if layers is None else layers):
            self.add(layer)

    def add(self, layer: Layer | Input) -> None:
        """Add a layer at the end, and build it if its input's shape is known."""
        if isinstance(layer, Input):
            if self.layers or self.given_shape is not None:
                expected = "the first of the layers, and given once: the input has already been configured"
                raise ValueError(wording("Input", expected, shown(layer)))
            self.given_shape = layer.shape[1:]
            return
        if isinstance(layer, Network):
            expected = "a layer and not a model: add its layers, as Sequential([*model.layers, ...])"
            raise TypeError(wording("layer", expected, f"{type(layer).__name__} {layer.name!r}"))
        if not isinstance(layer, Layer):
            raise TypeError(wording("layer", "a minilstm layer", f"{type(layer).__name__}: {layer!r}"))
        if isinstance(layer, (Recurrent, Bidirectional)) and layer.return_state:
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
        if layer.wanted_dtype is None and not layer.built:
            layer.dtype = self.dtype
        elif layer.wanted_dtype is not None and layer.wanted_dtype != self.dtype:
            expected = f"{self.dtype.name}, the model's, in layer {layer.label!r}: see Sequential(dtype=)"
            raise ValueError(wording("dtype", expected, layer.wanted_dtype))
        shape = self._next_shape()
        shape = layer.input_shape if shape is None else shape
        if shape is not None and (self.built or not self.layers):
            _build_layer(self, layer, shape)
        self.layers.append(layer)
        share_backend(self.layers)

    def _next_shape(self) -> Shape | None:
        """Shape of one sample for the layer that is added next, None while it is not known."""
        if not self.layers:
            return self.given_shape
        last = self.layers[-1]
        return last.output_shape(last.input_shape) if self.built and last.input_shape is not None else None

    def pop(self) -> Layer:
        """Take the last layer away, and return it."""
        if not self.layers:
            raise IndexError("the model has no layers")
        return self.layers.pop()

    def build(self, input_shape: Sequence[int | None] | None = None) -> None:
        """Make the weights for batches of `input_shape`, (None, T, D), with the batch axis as in Keras.

        >>> import minilstm as ml
        >>> model = ml.Sequential([ml.LSTM(4), ml.Dense(1)])
        >>> model.build((None, 5, 3))
        >>> model.output_shape
        (None, 1)
        """
        known = self.sample_shape
        shape = known if input_shape is None else checked_shape("input_shape", input_shape)[1:]
        if not self.layers:
            raise ValueError("the model has no layers to build; add some first")
        if shape is None:
            raise ValueError(wording("input_shape", "given where no layer and no Input tells it", None))
        if known is not None and not _fits(shape, known):
            expected = f"{(None, *known)}: the model has already been configured to use it"
            raise ValueError(wording("input_shape", expected, tuple(input_shape or ())))
        if not self.built:
            build(self, shape)

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of that name, or of that place."""
        if (name is None) == (index is None):
            raise ValueError(wording("name or index", "given, one of the two", (name, index)))
        if index is not None:
            index = whole_number("index", index, -len(self.layers))
            if index >= len(self.layers):
                raise ValueError(wording("index", f"below {len(self.layers)}, the number of layers", index))
            return self.layers[index]
        names = [layer.label for layer in self.layers]
        return self.layers[names.index(one_of("name", name, names))]

    def get_config(self) -> dict[str, Any]:
        """The layers' classes and arguments as plain values, without weights, as in Keras."""
        layers = [plain(layer) for layer in self.layers]
        shape = None if self.sample_shape is None else [None, *self.sample_shape]
        return {"name": self.name, "dtype": self.dtype.name, "layers": layers, "build_input_shape": shape}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """A model of that config, whose weights begin anew.

        >>> import minilstm as ml
        >>> model = ml.Sequential([ml.LSTM(4, input_shape=(5, 2)), ml.Dense(1)])
        >>> ml.Sequential.from_config(model.get_config()).output_shape
        (None, 1)
        """
        config = by_name("config", config)
        described = listed("layers of config", "a list of descriptions", config.get("layers"))
        layers = [revive(layer, Layer) for layer in described]
        model = cls(layers, dtype=config.get("dtype", "float32"), name=config.get("name", "sequential"))
        if config.get("build_input_shape") and layers and not model.built:
            model.build(config["build_input_shape"])
        return model

    def reset_states(self) -> None:
        """Forget the states that stateful layers kept."""
        set_layer_states(self.layers, [None] * len(layer_states(self.layers)))

    @property
    def built(self) -> bool:
        """Whether all weights exist."""
        return all(layer.built for layer in self.layers)

    @property
    def sample_shape(self) -> Shape | None:
        """Shape of one sample, None while it is not known."""
        return self.layers[0].input_shape if self.layers else self.given_shape

    @property
    def input_shape(self) -> Shape:
        """Shape of a batch, (None, T, D); AttributeError while it is not known, as in Keras."""
        if self.sample_shape is None:
            raise AttributeError("the model has no input_shape before it is built")
        return None, *self.sample_shape

    @property
    def output_shape(self) -> Shape:
        """Shape of a batch's output; AttributeError while it is not known, as in Keras."""
        shape = self._next_shape() if self.layers else None
        if shape is None:
            raise AttributeError("the model has no output_shape before it is built")
        return None, *shape

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        """Shape of the output for a batch of `input_shape`, the batch axis first, as in Keras.

        >>> import minilstm as ml
        >>> ml.Sequential([ml.LSTM(4), ml.Dense(1)]).compute_output_shape((None, 5, 3))
        (None, 1)
        """
        given = checked_shape("input_shape", input_shape)
        if not given:
            raise ValueError(wording("input_shape", "(batch, ...)", given))
        batch, shape = given[0], given[1:]
        for layer in self.layers:
            shape = layer.output_shape(shape)
        return batch, *shape

    @property
    def inputs(self) -> list[Input]:
        """What the model reads, as one Input in a list, as in Keras."""
        return [Input(batch_shape=self.input_shape, dtype=self.dtype.name)]

    @property
    def outputs(self) -> list[Input]:
        """Shape and dtype of what it gives, in a list of one, as in Keras."""
        return [Input(batch_shape=self.output_shape, dtype=self.dtype.name)]

    @property
    def named_weights(self) -> dict[str, Array]:
        """The weights themselves (no copies) under names such as "lstm/kernel"."""
        return {f"{layer.name}/{key}": value for layer in self.layers for key, value in layer.params.items()}

    @property
    def trainable(self) -> bool:
        """Whether training changes weights; setting it sets it for all layers."""
        return not self.layers or any(layer.trainable for layer in self.layers)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in self.layers:
            layer.trainable = value

    def _by_name(self) -> dict[str, Array]:
        return self.named_weights

    @property
    def trainable_params(self) -> dict[str, Array]:
        """Those of `named_weights` that training changes."""
        return {
            f"{layer.name}/{key}": value
            for layer in self.layers
            for key, value in layer.trainable_params.items()
        }

    def get_weights(self) -> list[Array]:
        """Copies of all weights, in Keras's order and shapes."""
        return [value.copy() for value in self.named_weights.values()]

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Take over weights in Keras's order and shapes; nothing is changed if one of them does not fit."""
        weights = listed("weights", "a list of arrays", weights)
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

    def count_params(self) -> int:
        """Number of weights."""
        return sum(layer.count_params() for layer in self.layers)

    def memory(self, batch: int, length: int) -> dict[str, int]:
        """Bytes of each recurrent layer's tape for a training batch of `batch` sequences of `length` steps.

        To the byte what waits between the forward and the backward pass; inputs, weights and the
        optimizer's state apart.

        >>> import minilstm as ml
        >>> ml.Sequential([ml.LSTM(64, input_shape=(None, 10))]).memory(32, 1000)
        {'lstm': 53284864}
        """
        whole_number("batch", batch), whole_number("length", length)
        checked_built(self)
        sizes: dict[str, int] = {}
        for layer in self.layers:
            sizes |= layer.memory(batch, length)
        return sizes


def checked_built(network: Network) -> Network:
    """The network, which has layers and all their weights; RuntimeError or TypeError otherwise."""
    if not isinstance(network, Network):
        raise TypeError(wording("model", "a Sequential", shown(network)))
    if not network.layers or not network.built:
        raise RuntimeError("the model must be built first: give the first layer input_shape=(T, D)")
    return network


def build(network: Network, shape: Shape) -> None:
    """Make the weights that do not exist yet, for samples of `shape`."""
    for layer in network.layers:
        _build_layer(network, layer, shape)
        shape = layer.output_shape(shape)
    share_backend(network.layers)


def share_backend(layers: Sequence[Layer]) -> None:
    """Let Dense and Embedding compute with compiled kernels where a recurrent layer beside them does."""
    every = list(inside(layers))
    compiled = any(layer.backend == "numba" for layer in every if isinstance(layer, Recurrent))
    for layer in every:
        if not isinstance(layer, Recurrent):
            layer.backend = "numba" if compiled else "numpy"


def _fits(shape: Shape, known: Shape) -> bool:
    return len(shape) == len(known) and all(
        None in (a, b) or a == b for a, b in zip(shape, known, strict=True)
    )


def _build_layer(network: Network, layer: Layer, shape: Shape) -> None:
    layer.make_weights(shape, np.random.default_rng(network.seeds.spawn(1)[0]), network.dtype)


def optimizer_and_loss(network: Network) -> tuple[Optimizer, Loss]:
    """What the network was compiled with; RuntimeError where it was not."""
    if network.optimizer is None:
        raise RuntimeError("the model must be compiled first: call model.compile(optimizer=..., loss=...)")
    if network.loss is None:
        raise RuntimeError("the model was compiled without a loss: call model.compile(loss=...)")
    return network.optimizer, network.loss


def learning(network: Network) -> list[bool]:
    """Of each layer, those in wrappers included, whether it is to learn."""
    return [layer.trainable for layer in inside(network.layers)]


def tell_changed_learning(network: Network) -> None:
    """Warn, once for each change, where `trainable` is not what it was when the network was compiled."""
    now, before = learning(network), network.learned_when_compiled
    if before is not None and len(before) == len(now) and before != now:
        text = "trainable was changed after compile: what is set now holds, and weights that are new to the"
        warnings.warn(f"{text} optimizer begin without its state. Compile again to be clear.", stacklevel=3)
    network.learned_when_compiled = now


class Step(NamedTuple):
    """What one training step found: the loss before the update, the update, the forward pass."""

    loss: float
    update: Update
    done: passes.Pass


def train_step(network: Network, batch: Batch) -> Step:
    """One update; NonFiniteError, and everything as it was, where loss or gradient is not finite."""
    (optimizer, loss), layers = optimizer_and_loss(network), network.layers
    learned = network.trainable_params
    if not learned:
        raise ValueError(wording("model", "with at least one weight that learns, to be trained", "none"))
    before = layer_states(layers)
    done = passes.forward(layers, batch.x, batch.mask, keep="boundaries", rng=training_rng(network))
    found = passes.loss_and_gradient(layers, loss, batch.y, done, batch.weight)
    clipped, update = optimizer.prepare(passes.backward(layers, found, done)[0])
    if not (math.isfinite(found.value) and math.isfinite(update.norm)):
        set_layer_states(layers, before)
        raise _nonfinite(network, batch)
    optimizer.backend = _backend(layers)
    optimizer.follow(learned)
    optimizer.step(learned, clipped)
    network.steps_taken += 1
    return Step(found.value, update, done)


def record(
    network: Network,
    batch: Batch,
    *,
    initial: dict[str, State] | None = None,
    rng: np.random.Generator | None = None,
) -> Trace:
    """One forward and backward pass with every step recorded; `rng` as in training, None in inference."""
    layers = network.layers
    done = passes.forward(layers, batch.x, batch.mask, keep="everything", rng=rng, states=initial)
    found = passes.loss_and_gradient(layers, optimizer_and_loss(network)[1], batch.y, done, batch.weight)
    grads, traces = passes.backward(layers, found, done, record=True)
    return Trace(found.value, done.output, grads, traces)


def _backend(layers: Sequence[Layer]) -> str:
    """ "numba" where compiled kernels take part in training."""
    used = {layer.training_backend for layer in inside(layers) if isinstance(layer, Recurrent)}
    return "numba" if "numba" in used else "numpy"


def training_rng(network: Network) -> np.random.Generator:
    """Randomness of the layers in the next training step; the same when asked again before the step."""
    if not any(layer.draws for layer in network.layers):
        return NOT_USED
    key = (*network.seeds.spawn_key, DROPOUT, network.steps_taken)
    return np.random.default_rng(np.random.SeedSequence(network.seeds.entropy, spawn_key=key))


def _nonfinite(network: Network, batch: Batch) -> NonFiniteError:
    """The error that says what is not finite and where it arose: the same pass again, traced."""
    trace = record(network, batch, rng=training_rng(network))
    bad = [name for name, grad in trace.grads.items() if not np.isfinite(grad).all()]
    what = f"the gradient of {bad[0]}" if bad else "the norm of the gradients"
    if not math.isfinite(trace.loss):
        what = f"the loss ({trace.loss})"
    origin = find_origin(trace, network.named_weights)
    return NonFiniteError(f"{what} is not finite" + (f": {origin}" if origin else ""), origin)
