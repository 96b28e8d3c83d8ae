"""What every layer offers to the model: build, forward -> tape, backward -> gradients.

A layer owns its weights and nothing else. What backward needs is returned by forward as a tape and
handed back; no layer hides anything between the two.
"""

from __future__ import annotations

import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from minilstm import initializers, regularizers
from minilstm.arrays import Array
from minilstm.bptt.more_activations import Activation
from minilstm.errors import numeric_array, whole_number, wording
from minilstm.initializers import Initializer
from minilstm.regularizers import Regularizer

Keep = Literal["nothing", "gradient", "trace"]  # what will follow: no backward, backward, backward recorded
Shape = tuple[int | None, ...]  # of one sample, without the batch axis; None where the length may vary


class Layer(ABC):
    """Base of all layers.

    Parameters
    ----------
    input_shape : shape of one sample, as in Keras: (T, D), with None for T where the length varies
    name : the layer's name in traces, gradients and messages; the model gives one where it is None
    """

    by_step = False
    """Whether each step of the output needs no more of a longer input than the same step of it."""

    def __init__(self, *, input_shape: Sequence[int | None] | None = None, name: str | None = None) -> None:
        if name is not None and (not isinstance(name, str) or not name or "/" in name):
            raise ValueError(wording("name", "a non-empty string without '/'", repr(name)))
        self.name = name
        self.input_shape: Shape | None = None if input_shape is None else _checked_shape(input_shape)
        self.params: dict[str, Array] = {}
        self.initializers: dict[str, Initializer] = {}  # by the name of the weight
        self.regularizers: dict[str, Regularizer] = {}
        self.built = False
        self.backend = "numpy"  # what computes; beside recurrent layers a network lets theirs
        self.dtype: np.dtype[Any] = np.dtype("float32")

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
        return {
            key: initializers.make(f"the initializer of {key}", self.initializers[key], shape, rng, dtype)
            for key, shape in self.weight_shapes(input_shape).items()
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
        ['rate', 'input_shape', 'name']
        """
        names = list(inspect.signature(cls).parameters)
        if "common" in names:  # **common: the arguments of the base class
            names.remove("common")
            names += [name for name in inspect.signature(cls.__mro__[1]).parameters if name not in names]
        return names

    def config(self) -> dict[str, Any]:
        """The arguments of the constructor: `type(layer)(**layer.config())` is a layer like this one.

        Without its weights. A subclass keeps each argument under the argument's own name.
        """
        values = {name: getattr(self, name) for name in self.argument_names()}
        return {
            name: value.name if isinstance(value, Activation) else value for name, value in values.items()
        }

    @abstractmethod
    def forward(
        self, x: Array, mask: Array | None, *, keep: Keep, rng: np.random.Generator | None = None
    ) -> tuple[Array, Array | None, Any]:
        """(B, ...) -> output, the mask it carries on, and a tape for what will follow (`keep`).

        `rng` is the randomness of a training step (dropout), None in inference.
        """

    def input_mask(self, x: Array, mask: Array | None) -> Array | None:
        """The mask (B, T) that this layer makes of x (B, T, ...) and of the mask that came with it."""
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
        return {}

    def get_weights(self) -> list[Array]:
        """Copies of the weights, in Keras's order and shapes."""
        return [value.copy() for value in self.params.values()]

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Take over weights in Keras's order and shapes; nothing is changed if one of them does not fit."""
        weights = checked_list("weights", weights)
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


def checked_list(argument: str, value: Any) -> list[Any]:
    """`value` as a list; TypeError where it has no items."""
    try:
        return list(value)
    except TypeError:
        raise TypeError(wording(argument, "a list of arrays", repr(value))) from None


def both(first: Array | None, second: Array) -> Array:
    """Steps that are real by both masks."""
    return second if first is None else first & second


def _checked_shape(shape: Sequence[int | None]) -> Shape:
    if isinstance(shape, (str, bytes)) or not isinstance(shape, Sequence):
        raise TypeError(wording("input_shape", "a tuple like (T, D)", repr(shape)))
    return tuple(None if size is None else whole_number("input_shape", size) for size in shape)
