"""How weights begin: objects (shape, rng, dtype) -> array, with Keras's distributions.

Layers take one as `kernel_initializer=`, `recurrent_initializer=`, `bias_initializer=` or
`embeddings_initializer=`: an object of this file, its name (the keys of `INITIALIZERS`), or any function
of the same form.

The numbers are drawn in float64 and rounded once, so one seed gives the same weights in float32 and float64.
A seed is the model's. An initializer may have its own, `seed=`, and gives the same numbers at each call then,
as in Keras; called without `rng`, one that has none takes entropy from the system.
What this file is not: Keras's random streams. A seed gives other numbers here than it gives there.

Sources: Keras 3, `keras/src/initializers/`; for Chrono, Tallec and Ollivier 2018.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike

from minilstm.foundations.arrays import Array, numeric_array
from minilstm.foundations.errors import (
    check_room,
    number_dtype,
    one_of,
    real_number,
    settle,
    shown,
    spelled,
    whole_number,
    wording,
)

Initializer = Callable[[Sequence[int], np.random.Generator, DTypeLike], Array]

Random = np.random.Generator | DTypeLike | None

CUT = 2.0  # a truncated normal is cut at so many standard deviations,
CUT_STD = 0.87962566103423978  # which leaves it this standard deviation


class _Base:
    """What all have in common: a description, and who draws."""

    seed: int | None = None

    def __post_init__(self) -> None:
        if self.seed is not None:
            settle(self, seed=whole_number("seed", self.seed, 0, wide=True))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, by name."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The initializer that `get_config` describes."""
        return cls(**config)

    def drawn(self, rng: Random, dtype: DTypeLike) -> tuple[np.random.Generator, DTypeLike]:
        """Who draws, and the dtype: in Keras's calls, (shape, dtype), it stands in the place of `rng`."""
        given = isinstance(rng, np.random.Generator)
        found = dtype if rng is None or given else rng
        where = "dtype" if found is dtype else "rng (a generator), or dtype"
        found = number_dtype(where, "float32" if found is None else found)
        return rng if given and self.seed is None else np.random.default_rng(self.seed), found  # type: ignore[return-value]


@spelled
@dataclass(frozen=True)
class Constant(_Base):
    """Every entry `value`, a number, or an array of numbers of the weight's own shape; `rng` is not used.

    >>> Constant(0.5)((2,), np.random.default_rng(0), "float32").tolist()
    [0.5, 0.5]
    """

    value: float | Array = 0.0

    def __post_init__(self) -> None:
        if np.ndim(self.value):
            settle(self, value=numeric_array("value", self.value))
        else:
            settle(self, value=real_number("value", self.value, -np.inf))

    def __call__(self, shape: Sequence[int], rng: Random = None, dtype: DTypeLike = "float32") -> Array:
        if np.ndim(self.value) and np.shape(self.value) != tuple(shape):
            raise ValueError(
                wording("value", f"a number, or of the shape {tuple(shape)}", np.shape(self.value))
            )
        return np.full(_checked(shape), self.value, self.drawn(rng, dtype)[1])


@spelled
@dataclass(frozen=True)
class Zeros(Constant):
    """Every entry 0.

    >>> Zeros()((2,)).tolist()
    [0.0, 0.0]
    """

    value: float = field(default=0.0, init=False, repr=False)


@spelled
@dataclass(frozen=True)
class Ones(Constant):
    """Every entry 1.

    >>> Ones()((2,)).tolist()
    [1.0, 1.0]
    """

    value: float = field(default=1.0, init=False, repr=False)


@spelled
@dataclass(frozen=True)
class Identity(_Base):
    """`gain` on the diagonal of a matrix, 0 elsewhere; `rng` is not used.

    As the recurrent kernel of a SimpleRNN with relu units it makes the IRNN, whose state is held, and whose
    gradient is carried, unchanged until the weights learn otherwise.
    Source: Le, Jaitly and Hinton 2015.

    >>> Identity()((2, 3), np.random.default_rng(0), "float32").tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        settle(self, gain=real_number("gain", self.gain, -np.inf))

    def __call__(self, shape: Sequence[int], rng: Random = None, dtype: DTypeLike = "float32") -> Array:
        return self.gain * np.eye(*_matrix(shape), dtype=self.drawn(rng, dtype)[1])


@spelled
@dataclass(frozen=True)
class Orthogonal(_Base):
    """`gain` times a matrix with orthonormal rows (or columns, whichever are shorter).

    At gain 1 it neither stretches nor shrinks. For an LSTM's recurrent kernel the matrix is all of (H, 4H):
    U @ U.T is the identity, and the four gates' own (H, H) blocks are not orthogonal. With A of normal
    numbers, tall:

        A = Q R,    result = Q sign(diag R), transposed if the shape is wide

    The sign makes the distribution uniform over orthogonal matrices, which Q alone is not.
    Source: Saxe et al. 2013; `keras.initializers.Orthogonal`.

    >>> U = Orthogonal()((3, 12), np.random.default_rng(0), "float64")
    >>> bool(np.allclose(U @ U.T, np.eye(3)))
    True
    """

    gain: float = 1.0
    seed: int | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        settle(self, gain=real_number("gain", self.gain, -np.inf))

    def __call__(self, shape: Sequence[int], rng: Random = None, dtype: DTypeLike = "float32") -> Array:
        rows, columns = _matrix(shape)
        rng, dtype = self.drawn(rng, dtype)
        A = rng.standard_normal((max(rows, columns), min(rows, columns)))
        Q, R = np.linalg.qr(A)
        Q = self.gain * Q * np.sign(np.diag(R))
        return (Q.T if rows < columns else Q).astype(dtype, order="C")


@spelled
@dataclass(frozen=True)
class RandomUniform(_Base):
    """Uniform in [minval, maxval); by default the beginning of Keras's Embedding.

    >>> bool(abs(RandomUniform()((100, 8), np.random.default_rng(0), "float32")).max() <= 0.05)
    True
    """

    minval: float = -0.05
    maxval: float = 0.05
    seed: int | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        settle(self, minval=real_number("minval", self.minval, -np.inf))
        settle(self, maxval=real_number("maxval", self.maxval, self.minval))

    def __call__(self, shape: Sequence[int], rng: Random = None, dtype: DTypeLike = "float32") -> Array:
        rng, dtype = self.drawn(rng, dtype)
        return rng.uniform(self.minval, self.maxval, size=_checked(shape)).astype(dtype)


@spelled
@dataclass(frozen=True)
class VarianceScaling(_Base):
    """Random numbers of variance `scale / n`: signals keep their size on their way through the layer.

    Parameters
    ----------
    scale : > 0
    mode : what n counts: "fan_in" (inputs of a unit), "fan_out" (units), or "fan_avg", their mean
    distribution : "uniform" in (-l, l) with l = sqrt(3 scale / n), or "truncated_normal", cut at two
        standard deviations and widened so that the variance is still scale / n, or "untruncated_normal"

    A kernel's shape is (fan_in, fan_out); for an LSTM's (D, 4H) that makes fan_out = 4H, as in Keras.
    glorot_* are (1, "fan_avg"), he_* (2, "fan_in"), lecun_* (1, "fan_in").
    Sources: Glorot and Bengio 2010, eq. 16; He et al. 2015; LeCun et al. 1998.

    >>> w = VarianceScaling(1.0, "fan_avg", "uniform")((2, 4), np.random.default_rng(0), "float32")
    >>> w.shape, w.dtype, bool(abs(w).max() <= 1.0)
    ((2, 4), dtype('float32'), True)
    """

    scale: float = 1.0
    mode: str = "fan_in"
    distribution: str = "truncated_normal"
    seed: int | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        settle(self, scale=real_number("scale", self.scale, above=True))
        one_of("mode", self.mode, ("fan_in", "fan_out", "fan_avg"))
        one_of("distribution", self.distribution, ("truncated_normal", "untruncated_normal", "uniform"))

    def __call__(self, shape: Sequence[int], rng: Random = None, dtype: DTypeLike = "float32") -> Array:
        shape = _checked(shape)
        rng, dtype = self.drawn(rng, dtype)
        places = math.prod(shape[:-2])  # of a kernel that is moved over them, 1 for a matrix
        fan_in, fan_out = (shape[-2] if len(shape) > 1 else shape[0]) * places, shape[-1] * places
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        if self.distribution == "uniform":
            limit = math.sqrt(3 * self.scale / n)
            return rng.uniform(-limit, limit, size=shape).astype(dtype)
        if self.distribution == "untruncated_normal":
            return (math.sqrt(self.scale / n) * rng.standard_normal(shape)).astype(dtype)
        return (math.sqrt(self.scale / n) / CUT_STD * _truncated_normal(shape, rng)).astype(dtype)


@spelled
@dataclass(frozen=True)
class RandomNormal(_Base):
    """Normal numbers with this mean and standard deviation.

    >>> bool(abs(RandomNormal(stddev=0.01)((100, 8), np.random.default_rng(0))).max() < 0.05)
    True
    """

    mean: float = 0.0
    stddev: float = 0.05
    seed: int | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        settle(self, mean=real_number("mean", self.mean, -np.inf))
        settle(self, stddev=real_number("stddev", self.stddev))

    def __call__(self, shape: Sequence[int], rng: Random = None, dtype: DTypeLike = "float32") -> Array:
        rng, dtype = self.drawn(rng, dtype)
        return (self.mean + self.stddev * rng.standard_normal(_checked(shape))).astype(dtype)


@spelled
@dataclass(frozen=True)
class TruncatedNormal(RandomNormal):
    """The same, with those beyond two standard deviations drawn again.

    >>> bool(abs(TruncatedNormal()((100, 8), np.random.default_rng(0))).max() <= 0.1)
    True
    """

    def __call__(self, shape: Sequence[int], rng: Random = None, dtype: DTypeLike = "float32") -> Array:
        rng, dtype = self.drawn(rng, dtype)
        return (self.mean + self.stddev * _truncated_normal(_checked(shape), rng)).astype(dtype)


@dataclass(frozen=True)
class _Settled(VarianceScaling):
    """VarianceScaling of which the class, and not the caller, chooses all but the seed."""

    scale: float = field(default=1.0, init=False, repr=False)
    mode: str = field(default="fan_in", init=False, repr=False)
    distribution: str = field(default="uniform", init=False, repr=False)


@spelled
class GlorotUniform(_Settled):
    """VarianceScaling(1.0, "fan_avg", "uniform"). Source: Glorot and Bengio 2010, eq. 16.

    >>> GlorotUniform(seed=0)((2, 4)).shape
    (2, 4)
    """

    scale, mode, distribution = 1.0, "fan_avg", "uniform"


@spelled
class GlorotNormal(_Settled):
    """VarianceScaling(1.0, "fan_avg", "truncated_normal"). Source: Glorot and Bengio 2010, eq. 16.

    >>> GlorotNormal(seed=0)((2, 4)).shape
    (2, 4)
    """

    scale, mode, distribution = 1.0, "fan_avg", "truncated_normal"


@spelled
class HeUniform(_Settled):
    """VarianceScaling(2.0, "fan_in", "uniform"). Source: He et al. 2015.

    >>> HeUniform(seed=0)((2, 4)).shape
    (2, 4)
    """

    scale, mode, distribution = 2.0, "fan_in", "uniform"


@spelled
class HeNormal(_Settled):
    """VarianceScaling(2.0, "fan_in", "truncated_normal"). Source: He et al. 2015.

    >>> HeNormal(seed=0)((2, 4)).shape
    (2, 4)
    """

    scale, mode, distribution = 2.0, "fan_in", "truncated_normal"


@spelled
class LecunUniform(_Settled):
    """VarianceScaling(1.0, "fan_in", "uniform"). Source: LeCun et al. 1998.

    >>> LecunUniform(seed=0)((2, 4)).shape
    (2, 4)
    """

    scale, mode, distribution = 1.0, "fan_in", "uniform"


@spelled
class LecunNormal(_Settled):
    """VarianceScaling(1.0, "fan_in", "truncated_normal"). Source: LeCun et al. 1998.

    >>> LecunNormal(seed=0)((2, 4)).shape
    (2, 4)
    """

    scale, mode, distribution = 1.0, "fan_in", "truncated_normal"


@spelled
@dataclass(frozen=True)
class Chrono:
    """A bias with which the gates hold the state for 1 to `max_length` steps, each unit its own time.

    With u uniform in [1, max_length - 1] for each unit: for an LSTM b_f = log u and b_i = -log u, for a
    GRU b_z = log u (its z is the gate that keeps), 0 elsewhere. A gate sigmoid(log u) forgets by a
    factor 1/e in about u steps, so `max_length` should be about the length of the dependencies to be learned.
    An LSTM given this initializer leaves it as it is, whatever `unit_forget_bias` says.
    Source: Tallec and Ollivier 2018, section 2.

    >>> b = Chrono(100).bias(("i", "f", "g", "o"), (12,), np.random.default_rng(0), "float64")
    >>> bool((b[3:6] == -b[:3]).all()), b[6:].tolist()
    (True, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    """

    max_length: int

    def __post_init__(self) -> None:
        settle(self, max_length=whole_number("max_length", self.max_length, 3))

    def bias(
        self, gates: Sequence[str], shape: Sequence[int], rng: np.random.Generator, dtype: DTypeLike
    ) -> Array:
        """The bias of a cell whose blocks are `gates`: (nH,), or (2, nH) with a recurrent bias of zeros."""
        keep = next((gate for gate in ("f", "z") if gate in gates), None)
        if keep is None:
            expected = "for a cell with a gate that keeps the state (f or z)"
            raise ValueError(wording("Chrono", expected, f"the gates {', '.join(gates)}"))
        b = np.zeros(_checked(shape), dtype)
        blocks = dict(zip(gates, np.split(b.reshape(-1, b.shape[-1])[0], len(gates)), strict=True))
        blocks[keep][:] = np.log(rng.uniform(1, self.max_length - 1, size=blocks[keep].shape))
        if "i" in blocks:
            blocks["i"][:] = -blocks[keep]
        return b

    def __call__(self, shape: Sequence[int], rng: Random = None, dtype: DTypeLike = "float32") -> Array:
        """Refused: the values depend on the gates, which only a recurrent layer's bias has."""
        raise ValueError(wording("Chrono", "the bias_initializer of an LSTM or a GRU", f"shape {shape}"))


zeros = Zeros()
ones = Ones()
uniform = RandomUniform()
identity = Identity()
orthogonal = Orthogonal()
glorot_uniform = GlorotUniform()
glorot_normal = GlorotNormal()
he_uniform = HeUniform()
he_normal = HeNormal()
lecun_uniform = LecunUniform()
lecun_normal = LecunNormal()
random_normal = RandomNormal()
random_uniform = RandomUniform()
truncated_normal = TruncatedNormal()
variance_scaling = VarianceScaling()

INITIALIZERS: dict[str, Initializer] = {
    "glorot_normal": glorot_normal,
    "glorot_uniform": glorot_uniform,
    "he_normal": he_normal,
    "he_uniform": he_uniform,
    "identity": identity,
    "lecun_normal": lecun_normal,
    "lecun_uniform": lecun_uniform,
    "ones": ones,
    "orthogonal": orthogonal,
    "random_normal": random_normal,
    "random_uniform": random_uniform,
    "truncated_normal": truncated_normal,
    "uniform": uniform,
    "variance_scaling": variance_scaling,
    "zeros": zeros,
}


def get(argument: str, identifier: str | Initializer) -> Initializer:
    """The initializer of that name, or `identifier` if it can be called; `argument` is for the message.

    Raises ValueError for an unknown name ("constant" and "chrono" need a value: pass `Constant(...)`,
    `Chrono(...)`), TypeError for anything else.

    >>> get("kernel_initializer", "orthogonal")
    Orthogonal(gain=1.0)
    """
    if isinstance(identifier, type) and issubclass(identifier, _Base):
        found: Initializer = identifier()  # type: ignore[assignment]
        return found
    if isinstance(identifier, str):
        known = INITIALIZERS | {type(one).__name__: one for one in INITIALIZERS.values()}
        return known[one_of(argument, identifier, known if identifier[:1].isupper() else INITIALIZERS)]
    if isinstance(identifier, np.ndarray):
        return Constant(identifier)
    if not callable(identifier) or isinstance(identifier, type):
        expected = "a name or an initializer such as initializers.Constant(0.5)"
        raise TypeError(wording(argument, expected, shown(identifier)))
    return identifier


def make(
    argument: str,
    initializer: Initializer,
    shape: Sequence[int],
    rng: np.random.Generator,
    dtype: DTypeLike,
) -> Array:
    """A weight of `shape` from `initializer`; ValueError where a function of the user's gives another shape.

    >>> rng = np.random.default_rng(0)
    >>> make("bias_initializer", lambda shape, rng, dtype: np.zeros(3), (2,), rng, "float32")
    Traceback (most recent call last):
    ValueError: bias_initializer must be a function that gives an array of shape (2,), got (3,)
    """
    value = np.array(initializer(shape, rng, dtype), dtype=dtype, order="C")
    if value.shape != tuple(shape):
        expected = f"a function that gives an array of shape {tuple(shape)}"
        raise ValueError(wording(argument, expected, value.shape))
    return value


def _truncated_normal(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Standard normal numbers within (-CUT, CUT); those beyond are drawn again."""
    values = rng.standard_normal(shape)
    while (beyond := np.abs(values) > CUT).any():
        values[beyond] = rng.standard_normal(int(beyond.sum()))
    return values


def _matrix(shape: Sequence[int]) -> tuple[int, int]:
    shape = _checked(shape)
    if len(shape) != 2:
        raise ValueError(wording("shape", "(rows, columns)", shape))
    return shape[0], shape[1]


def _checked(shape: Sequence[int]) -> tuple[int, ...]:
    if isinstance(shape, (str, bytes)) or not isinstance(shape, Sequence) or not shape:
        raise TypeError(wording("shape", "a tuple of whole numbers", shown(shape)))
    sizes = tuple(whole_number("shape", n) for n in shape)
    check_room(f"an array of shape {sizes}", 4 * math.prod(sizes))
    return sizes
