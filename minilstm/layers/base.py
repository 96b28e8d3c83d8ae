"""What every layer offers to the model: build, forward -> tape, backward -> gradients.

A layer owns its weights and nothing else. What backward needs is returned by forward as a tape and
handed back; no layer hides anything between the two.
"""

from __future__ import annotations

import inspect
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, Unpack

import numpy as np
from numpy.typing import ArrayLike

from minilstm import initializers, regularizers
from minilstm.bptt.activations import Activation
from minilstm.bptt.tape import Contents
from minilstm.foundations.arrays import Array, numeric_array
from minilstm.foundations.errors import by_name, check_room, given_name, listed, switch, whole_number, wording
from minilstm.foundations.signatures import WholeSignature
from minilstm.initializers import Initializer
from minilstm.layers import checks
from minilstm.layers.configs import plain, revive
from minilstm.layers.refused import CODE
from minilstm.layers.words import (
    NEUTRAL,
    Words,
    checked_dtype,
    checked_shape,
    sample_shape,
    sort_words,
)
from minilstm.layers.words import Shape as Shape
from minilstm.regularizers import Regularizer


class WeightLists:
    """The weights of a layer or of a network as lists, in Keras's words."""

    trainable_params: Any  # those of `_by_name` that training changes

    def _by_name(self) -> dict[str, Array]:
        raise NotImplementedError

    @property
    def weights(self) -> list[Array]:
        """The weights themselves, no copies, in Keras's order."""
        return list(self._by_name().values())

    @property
    def trainable_weights(self) -> list[Array]:
        """Those of `weights` that training changes."""
        return list(self.trainable_params.values())

    @property
    def non_trainable_weights(self) -> list[Array]:
        """Those of `weights` that it does not change."""
        learned = self.trainable_params
        return [value for name, value in self._by_name().items() if name not in learned]

    variables = weights
    trainable_variables = trainable_weights
    non_trainable_variables = non_trainable_weights


class Layer(WeightLists, ABC):
    """Base of all layers.

    Parameters
    ----------
    input_shape : shape of one sample, as in Keras: (T, D), with None for T where the length varies.
        `batch_shape` has the batch axis too; `input_dim` and `input_length` are D and T
    name : the layer's name in traces, gradients and messages; the model gives one where it is None
    trainable : whether training changes the weights; it may be set later too
    dtype : "float32" or "float64", for a layer that is called by itself; a model gives its own
    seed : of what the layer draws when it is called by itself; in a model the model's seed rules
    """

    by_step = False
    """Whether each step of the output needs no more of a longer input than the same step of it."""

    supports_masking = True  # Keras's word: every layer here takes a mask
    neutral: ClassVar[dict[str, str]] = NEUTRAL  # Keras's arguments that change nothing here, and why
    __signature__ = WholeSignature(Words.__annotations__, trainable=True)
    reads_sequences = False  # whether `input_dim` alone means (None, input_dim)

    def __init_subclass__(cls, **words: Any) -> None:
        super().__init_subclass__(**words)
        if "call" in vars(cls) and getattr(cls.forward, "__isabstractmethod__", False):
            raise TypeError(f"{cls.__name__} has a call, and no forward and backward: {CODE}")

    def __init__(self, **words: Unpack[Words]) -> None:
        known = [*self.argument_names(), *Words.__annotations__]
        found = sort_words(type(self).__name__, words, self.neutral, known)
        self.name = None if found.get("name") is None else given_name("name", found["name"], "/")
        self.input_shape: Shape | None = sample_shape(found, sequence=self.reads_sequences)
        self.params: dict[str, Array] = {}
        self.initializers: dict[str, Initializer] = {}  # by the name of the weight
        self.regularizers: dict[str, Regularizer] = {}
        self.built = False
        self.backend = "numpy"  # what computes; beside recurrent layers a network lets theirs
        self.wanted_dtype = None if found.get("dtype") is None else checked_dtype(found["dtype"])
        self.dtype: np.dtype[Any] = self.wanted_dtype or np.dtype("float32")
        self.seed = None if found.get("seed") is None else whole_number("seed", found["seed"], 0, wide=True)
        self._own_rng: np.random.Generator | None = None  # of calls outside a model
        self._trainable = True
        if not switch("trainable", found.get("trainable", True)):
            self.trainable = False

    @property
    def trainable(self) -> bool:
        """Whether training changes the weights."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = switch("trainable", value)

    @property
    def trainable_params(self) -> dict[str, Array]:
        """Those of `params` that training changes."""
        return self.params if self.trainable else {}

    def _by_name(self) -> dict[str, Array]:
        return self.params

    def learns(self, key: str) -> bool:
        """Whether training changes the weight of that name."""
        return self.trainable

    @property
    def label(self) -> str:
        """The name, or the class's name where there is none yet; for messages."""
        return self.name or self.default_name()

    @property
    def draws(self) -> bool:
        """Whether `forward` draws from its `rng` in training."""
        return False

    @classmethod
    def default_name(cls) -> str:
        """The class's name as Keras writes it in names of layers.

        >>> import minilstm as ml
        >>> ml.GlobalAveragePooling1D.default_name(), ml.LSTM.default_name()
        ('global_average_pooling1d', 'lstm')
        """
        return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower()

    def make_weights(self, input_shape: Shape, rng: np.random.Generator, dtype: np.dtype[Any]) -> None:
        """Make the weights for inputs of `input_shape`. A layer that has weights keeps them."""
        self.output_shape(input_shape)  # raises where the layer cannot take this input
        if self.built:
            self.params = {key: value.astype(dtype) for key, value in self.params.items()}
        else:
            self.params = self._make_params(input_shape, rng, dtype)
        self.input_shape, self.dtype, self.built = input_shape, dtype, True

    def restore(self, input_shape: Shape, dtype: np.dtype[Any], params: dict[str, Array]) -> None:
        """Take over `params`, which have the names and shapes of `weight_shapes`, as the layer's own."""
        self.params, self.built = params, True
        self.make_weights(input_shape, np.random.default_rng(0), dtype)

    def _make_params(
        self, input_shape: Shape, rng: np.random.Generator, dtype: np.dtype[Any]
    ) -> dict[str, Array]:
        shapes = self.weight_shapes(input_shape)
        for key, shape in shapes.items():
            check_room(f"{key} {shape} of layer {self.label!r}", math.prod(shape) * dtype.itemsize)
        return {
            key: initializers.make(f"the initializer of {key}", self.initializers[key], shape, rng, dtype)
            for key, shape in shapes.items()
        }

    @abstractmethod
    def output_shape(self, input_shape: Shape) -> Shape:
        """Shape of one sample's output; ValueError where the layer cannot take this input."""

    def weight_shapes(self, input_shape: Shape) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the weights for inputs of `input_shape`, in Keras's order; takes no memory."""
        return {}

    @classmethod
    def argument_names(cls) -> list[str]:
        """The names of the constructor's arguments.

        >>> import minilstm as ml
        >>> ml.Dropout.argument_names()
        ['rate', 'noise_shape', 'input_shape', 'name']
        """
        names: list[str] = []
        for kind in cls.__mro__:  # **words: the arguments of the base class
            if "__init__" in vars(kind) and issubclass(kind, Layer):
                _, *given = inspect.signature(kind.__init__).parameters.values()
                own = [one.name for one in given if one.kind is one.KEYWORD_ONLY or kind is cls]
                names += [name for name in own if name not in (*names, "words", "common")]
        return [*names, *(name for name in ("input_shape", "name") if name not in names)]

    def config(self) -> dict[str, Any]:
        """The arguments of the constructor: `type(layer)(**layer.config())` is a layer like this one.

        Without its weights. A subclass keeps each argument under the argument's own name.
        """
        values = {name: getattr(self, name) for name in self.argument_names()}
        if not self.trainable:
            values["trainable"] = False
        if self.seed is not None:
            values["seed"] = self.seed
        return {
            name: value.name if isinstance(value, Activation) else value for name, value in values.items()
        }

    def get_config(self) -> dict[str, Any]:
        """`config` as plain values with name, trainable and dtype, as in Keras; see `from_config`.

        >>> import minilstm as ml
        >>> layer = ml.Dense(3, activation="relu")
        >>> layer.get_config()["activation"], type(layer).from_config(layer.get_config()).units
        ('relu', 3)
        """
        own = {"name": self.label, "trainable": self.trainable, "dtype": self.dtype.name}
        return own | {key: plain(value) for key, value in self.config().items() if key not in own}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """A layer of that config, without weights."""
        arguments = by_name("config", config)
        return cls(**{key: revive(value, Layer) for key, value in arguments.items()})

    @abstractmethod
    def forward(
        self, x: Array, mask: Array | None, *, keep: Contents, rng: np.random.Generator | None = None
    ) -> tuple[Array, Array | None, Any]:
        """(B, ...) -> output, the mask it carries on, and a tape.

        `keep` is what it holds at the least: "outputs" where no backward pass will follow, "boundaries" for
        one, "everything" for one that is recorded, or where states are looked at.
        `rng` is the randomness of a training step (dropout), None in inference.
        """

    def input_mask(self, x: Array, mask: Array | None) -> Array | None:
        """The mask (B, T) that this layer makes of x (B, T, ...) and of the mask that came with it."""
        return mask

    def carried_mask(self, mask: Array) -> Array | None:
        """The mask (B, T) of the output where the input has `mask`; None where the steps of x have ended."""
        return mask

    @abstractmethod
    def backward(self, dy: Array, tape: Any, *, need_dx: bool) -> tuple[Array | None, dict[str, Array]]:
        """dL/d(output) -> dL/d(input) (None unless `need_dx`) and dL/d(each weight) by its name."""

    def logits(self, tape: Any) -> tuple[str, Array] | None:
        """The activation's name and its input, where the output is an activation of it; None otherwise.

        Losses on probabilities are computed from the logits, and give dL/d(logits) to `backward_logits`.
        """
        return None

    def backward_logits(
        self, dz: Array, tape: Any, *, need_dx: bool
    ) -> tuple[Array | None, dict[str, Array]]:
        """`backward` from dL/d(logits); for layers whose `logits` are not None."""
        raise NotImplementedError

    def memory(self, batch: int, length: int) -> dict[str, int]:
        """Bytes of the tapes of recurrent layers in here, by name, for one training batch."""
        whole_number("batch", batch), whole_number("length", length)
        if not self.built:
            raise RuntimeError(f"layer {self.label!r} must be built first: give it input_shape=(T, D)")
        return {}

    @property
    def losses(self) -> list[Any]:
        """What the regularizer of each weight that learns adds to the loss."""
        found = self.regularizers.items()
        return [penalty(self.params[key]) for key, penalty in found if key in self.trainable_params]

    if not TYPE_CHECKING:  # a weight by its name: `layer.kernel`; None for a bias that is not used

        def __getattr__(self, name: str) -> Array | None:
            known = vars(self)
            if known.get("built") and not name.startswith("_"):
                if name in self.params:
                    return self.params[name]
                if name in known["initializers"]:
                    return None
            text = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(text, name=name, obj=self)

    def build(self, input_shape: Sequence[int | None] | None = None) -> None:
        """Make the weights for batches of `input_shape`, with the batch axis as in Keras.

        >>> import minilstm as ml
        >>> layer = ml.LSTM(4)
        >>> layer.build((None, 5, 3))
        >>> layer.kernel.shape
        (3, 16)
        """
        shape = (None, *(self.input_shape or (None,))) if input_shape is None else input_shape
        sample = checked_shape("input_shape", shape)[1:]
        self.make_weights(sample, np.random.default_rng(), self.dtype)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Any:
        """Shape of a batch's output, the batch axis first, as in Keras."""
        batch, *sample = checked_shape("input_shape", input_shape) or (None,)
        return batch, *self.output_shape(tuple(sample))

    def compute_mask(self, inputs: ArrayLike, previous_mask: ArrayLike | None = None) -> Array | None:
        """The mask (B, T) that this layer hands on."""
        x, real = self.checked_call(inputs, previous_mask)
        return self.forward(x, real, keep="outputs")[1]

    def __call__(self, inputs: ArrayLike, mask: ArrayLike | None = None, training: bool = False) -> Any:
        """The output for `inputs`, (B, ...), on its own; builds the layer at its first use.

        `mask` (B, T): a masked step may hold anything, and is 0. With `training` there is dropout; as in
        Keras it may stand second, layer(x, True).
        """
        if isinstance(mask, (bool, np.bool_)):
            mask, training = None, bool(mask)
        x, real = self.checked_call(inputs, mask)
        return self.forward(x, real, keep="outputs", rng=self.call_rng(training))[0]

    def checked_call(self, inputs: ArrayLike, mask: ArrayLike | None) -> tuple[Array, Array | None]:
        """Inputs and mask of a call, checked; builds the layer at its first use."""
        x = self.checked_inputs(inputs)
        if not self.built:
            sample = x.shape[1:]
            # a layer that is built by its first use takes any number of steps afterwards
            shape = (None, *sample[1:]) if self.reads_sequences else sample
            self.make_weights(shape, np.random.default_rng(), self.dtype)
        self.output_shape(x.shape[1:])
        real = None if mask is None else checks.checked_mask(mask, x.shape[:2])
        checks.check_finite("x", x, real if x.ndim == 3 else None)
        return (x if real is None or x.ndim != 3 else np.where(real[..., None], x, 0)), real

    def checked_inputs(self, inputs: ArrayLike) -> Array:
        """`inputs` as an array of the layer's dtype, (B, ...)."""
        x = numeric_array("x", inputs).astype(self.dtype, copy=False)
        if x.ndim < 2:
            raise ValueError(wording(f"input of layer {self.label!r}", "(batch, ...)", f"shape {x.shape}"))
        return x

    def call_rng(self, training: bool) -> np.random.Generator | None:
        """Randomness of a call outside a model: from the layer's seed, going on from call to call."""
        if training is None or not switch("training", training):  # None as in Keras
            return None
        if self._own_rng is None:
            self._own_rng = np.random.default_rng(self.seed)
        return self._own_rng

    def get_weights(self) -> list[Array]:
        """Copies of the weights, in Keras's order and shapes."""
        return [value.copy() for value in self.params.values()]

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Take over weights in Keras's order and shapes; nothing is changed if one of them does not fit."""
        weights = listed("weights", "a list of arrays", weights)
        if len(weights) != len(self.params):
            expected = f"{len(self.params)} arrays for layer {self.label!r}"
            if not self.built:
                expected += " (it has no weights before it is built)"
            raise ValueError(wording("weights", expected, len(weights)))
        names = [f"{self.label}/{key}" for key in self.params]
        arrays = [numeric_array(what, weight) for what, weight in zip(names, weights, strict=True)]
        for what, value, array in zip(names, self.params.values(), arrays, strict=True):
            if array.shape != value.shape:
                raise ValueError(wording(what, f"of shape {value.shape}", array.shape))
        for value, array in zip(self.params.values(), arrays, strict=True):
            value[...] = array

    def count_params(self) -> int:
        """Number of weights."""
        return sum(value.size for value in self.params.values())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.label!r}>"


def declare_weight(
    layer: Layer,
    key: str,
    prefix: str,
    initializer: str | Initializer,
    regularizer: str | Regularizer | None,
) -> None:
    """How the weight `key` begins, and its penalty: `prefix`_initializer and `prefix`_regularizer."""
    setattr(layer, f"{prefix}_initializer", initializer)
    setattr(layer, f"{prefix}_regularizer", regularizer)
    layer.initializers[key] = initializers.get(f"{prefix}_initializer", initializer)
    penalty = regularizers.get(f"{prefix}_regularizer", regularizer)
    if penalty is not None:
        layer.regularizers[key] = penalty


def both(first: Array | None, second: Array) -> Array:
    """Steps that are real by both masks."""
    return second if first is None else first & second
