"""Clip the gradients, then step: SGD, RMSprop and Adam with Keras's formulas, in Keras's order.

    prepare   gradients -> their norm, and the clipped gradients      (looks only: nothing changes)
    step      parameters += change, in place                          (the formulas are in the classes)

All parameters are laid end to end in one vector, so that a formula costs about ten NumPy calls whatever the
number of arrays; g below is that vector of gradients. Its means are kept in the parameters' dtype.

What this file is not: it does not look for NaN. `prepare` reports the norm, and the caller decides.

Source: Keras 3, `keras/src/optimizers/{base_optimizer,sgd,rmsprop,adam}.py`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from minilstm.errors import NonFiniteError, one_of, real_number, wording

__all__ = ["SGD", "Adam", "Optimizer", "RMSprop", "Update"]

Array = NDArray[Any]
Arrays = Mapping[str, Array]

DOT = 8_192  # longest dot product: longer ones lose digits in float32, and BLAS may split them over threads


class Update(NamedTuple):
    """What clipping saw and did.

    >>> SGD(global_clipnorm=1.0).prepare({"w": np.array([3.0, 4.0])})[1]
    Update(norm=5.0, clipped=True, norm_after=1.0)
    """

    norm: float
    """L2 norm of all gradients together, before clipping; nan or inf if one of them is."""
    clipped: bool
    """Whether clipping changed a gradient."""
    norm_after: float
    """L2 norm of all gradients together, after clipping."""


class Optimizer(ABC):
    """An optimizer: a learning rate, at most one way of clipping, and a formula for the step.

    Final classes: `SGD`, `RMSprop`, `Adam`. Keyword arguments of all three, > 0, at most one of them:

    - `clipnorm` c: each gradient g becomes g c / max(|g|, c)
    - `clipvalue` c: each entry is clipped to [-c, c]
    - `global_clipnorm` c: all gradients are scaled by c / max(n, c), n their common norm

    Raises TypeError for arguments that are not numbers, ValueError for numbers out of range.
    Source: `keras.optimizers.Optimizer`.

    >>> optimizer = get("adam")
    >>> optimizer.learning_rate, optimizer.iterations
    (0.001, 0)
    """

    def __init__(
        self,
        learning_rate: float,
        slot_names: tuple[str, ...],
        clipnorm: float | None,
        clipvalue: float | None,
        global_clipnorm: float | None,
    ) -> None:
        clips = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        given = {name: value for name, value in clips.items() if value is not None}
        if len(given) > 1:
            got = ", ".join(f"{name}={value!r}" for name, value in given.items())
            raise ValueError(wording("clipping", "one of clipnorm, clipvalue and global_clipnorm", got))
        for name, value in given.items():
            given[name] = real_number(name, value, above=True)
        self.clipnorm = given.get("clipnorm")
        self.clipvalue = given.get("clipvalue")
        self.global_clipnorm = given.get("global_clipnorm")
        self.learning_rate = learning_rate
        self.iterations = 0
        self._slot_names = slot_names
        self._layout: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}  # in the order of the vector
        self._g = self._change = np.empty(0)
        self._slots: list[Array] = []

    @property
    def learning_rate(self) -> float:
        """The learning rate, a finite number >= 0; it may be set between steps.

        >>> optimizer = SGD()
        >>> optimizer.learning_rate = 0.5
        >>> optimizer.learning_rate
        0.5
        """
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._learning_rate = real_number("learning_rate", value)

    @final
    def apply(self, params: Arrays, grads: Arrays) -> Update:
        """Clip and step: `params` change in place, `grads` stay as they are.

        Both map names to float32 or float64 arrays of equal shapes; names, shapes and the one dtype are
        fixed by the first step. Raises ValueError where they do not fit, before anything changes.
        Source: `keras.optimizers.Optimizer.apply`.

        >>> params = {"w": np.array([1.0, 2.0])}
        >>> update = SGD(learning_rate=0.5).apply(params, {"w": np.array([2.0, 0.0])})
        >>> params["w"].tolist(), update.norm
        ([0.0, 2.0], 2.0)
        """
        clipped, update = self.prepare(grads)
        self.step(params, clipped)
        return update

    @final
    def prepare(self, grads: Arrays) -> tuple[dict[str, Array], Update]:
        """The gradients to step with, and what clipping saw and did; nothing is changed.

        Arrays that clipping leaves alone are returned themselves, not copied. The norm does not overflow:
        1e30 in float32 is clipped right. Gradients with NaN or Inf are returned as they are.
        Source: `keras/src/optimizers/base_optimizer.py`, `_clip_gradients`.

        >>> clipped, update = Adam(clipvalue=1.0).prepare({"w": np.array([3.0, -0.5])})
        >>> clipped["w"].tolist(), update.clipped
        ([1.0, -0.5], True)
        """
        with np.errstate(over="ignore", invalid="ignore"):  # the norm says it
            return self._clip(grads, {name: _norm(g) for name, g in grads.items()})

    @final
    def step(self, params: Arrays, grads: Arrays) -> None:
        """One step with gradients that are already clipped: `params` change in place, `grads` do not.

        Raises ValueError where names, shapes or dtypes do not fit, and NonFiniteError where a parameter would
        become infinite or NaN, before any of them changes.
        Source: `keras/src/optimizers/base_optimizer.py`, `_backend_update_step`.

        >>> params = {"w": np.array([1.0])}
        >>> SGD(learning_rate=0.5).step(params, {"w": np.array([2.0])})
        >>> params["w"].tolist()
        [0.0]
        """
        if not self._layout:
            self._lay_out(params)
        self._check("params", params)
        self._check("grads", grads)
        g, change = self._g, self._change
        np.concatenate([grads[name].ravel() for name in self._layout], out=g)
        with np.errstate(over="ignore", invalid="ignore"):  # the squares of huge gradients become inf
            self._rule(g, change, self._slots)
            moved, start = {}, 0
            for name in self._layout:
                w = params[name]
                moved[name] = w + change[start : start + w.size].reshape(w.shape)
                start += w.size
        for name, w in moved.items():
            if not np.isfinite(w).all():
                raise NonFiniteError(
                    f"the step would make {name} infinite or NaN; is the learning rate too large?"
                )
        for name, w in moved.items():
            params[name][...] = w
        self.iterations += 1

    @property
    def slot_names(self) -> tuple[str, ...]:
        """What the optimizer keeps per weight between steps, such as "momentum" and "velocity"."""
        return self._slot_names

    @property
    def slots(self) -> dict[str, Array]:
        """The arrays of `slot_names` themselves, all weights in one vector; none before the first step.

        >>> optimizer = Adam()
        >>> _ = optimizer.apply({"w": np.ones(2)}, {"w": np.ones(2)})
        >>> optimizer.slots["momentum"].round(4).tolist()
        [0.1, 0.1]
        """
        return dict(zip(self._slot_names, self._slots, strict=False))

    @final
    def restore(self, params: Arrays, iterations: int, slots: Arrays) -> None:
        """Go on where an optimizer with these `iterations` and `slots` stood; `params` are the model's."""
        self._lay_out(params)
        for name, slot in self.slots.items():
            slot[...] = slots[name]
        self.iterations = iterations

    def _clip(self, grads: Arrays, norms: dict[str, float]) -> tuple[dict[str, Array], Update]:
        norm = math.hypot(*norms.values())
        result = dict(grads)
        unchanged = result, Update(norm, False, norm)
        if not math.isfinite(norm):
            return unchanged
        if self.clipnorm is not None:
            c = self.clipnorm
            long = [name for name, n in norms.items() if n > c]
            for name in long:
                result[name] = grads[name] * (c / norms[name])
            return result, Update(norm, bool(long), math.hypot(*(min(n, c) for n in norms.values())))
        if self.global_clipnorm is not None and norm > self.global_clipnorm:
            scale = self.global_clipnorm / norm
            return {name: g * scale for name, g in grads.items()}, Update(norm, True, self.global_clipnorm)
        if self.clipvalue is not None and norm > self.clipvalue:
            c = self.clipvalue
            result = {name: np.clip(g, -c, c) for name, g in grads.items()}
            clipped = any(not np.array_equal(result[name], g) for name, g in grads.items())
            return result, Update(norm, clipped, math.hypot(*(_norm(g) for g in result.values())))
        return unchanged

    @abstractmethod
    def _rule(self, g: Array, change: Array, slots: Sequence[Array]) -> None:
        """Bring `slots` up to date with `g` and fill `change`, all 1-D; this is step `iterations` + 1."""

    def _lay_out(self, params: Arrays) -> None:
        """Give each parameter its part of one vector, and make the state: zeros."""
        dtypes = {w.dtype for w in params.values()}
        if dtypes not in ({np.dtype(np.float32)}, {np.dtype(np.float64)}):
            got = ", ".join(sorted(str(dtype) for dtype in dtypes)) or "no parameters"
            raise ValueError(wording("params", "all float32 or all float64", got))
        (dtype,) = dtypes
        size = sum(w.size for w in params.values())
        self._layout = {name: (w.shape, dtype) for name, w in params.items()}
        self._g, self._change, *self._slots = (
            np.zeros(size, dtype) for _ in range(2 + len(self._slot_names))
        )

    def _check(self, argument: str, arrays: Arrays) -> None:
        """ValueError where names, shapes and dtype are not those of the first step's parameters."""
        if {name: (array.shape, array.dtype) for name, array in arrays.items()} == self._layout:
            return
        for name, (shape, dtype) in self._layout.items():
            if name in arrays and (arrays[name].shape, arrays[name].dtype) != (shape, dtype):
                expected = f"of shape {shape} and dtype {dtype}"
                got = f"shape {arrays[name].shape} and dtype {arrays[name].dtype}"
                raise ValueError(wording(f"{argument}[{name!r}]", expected, got))
        expected = f"the parameters of the first step, {', '.join(self._layout)}"
        raise ValueError(wording(argument, expected, ", ".join(arrays)))


@final
class SGD(Optimizer):
    """Gradient descent with learning rate a, momentum b in [0, 1): w += change,

        change = -a g                          without momentum
        m = b m - a g,  change = m             with momentum
        change = b m - a g                     nesterov, with the new m

    Raises TypeError or ValueError for arguments out of range. Source: `keras.optimizers.SGD`.

    >>> params = {"w": np.array([1.0])}
    >>> _ = SGD(learning_rate=0.25).apply(params, {"w": np.array([2.0])})
    >>> params["w"].tolist()
    [0.5]
    """

    def __init__(
        self,
        learning_rate: float = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        *,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
    ) -> None:
        self.momentum = real_number("momentum", momentum, below=1.0)
        self.nesterov = _flag("nesterov", nesterov)
        slot_names = ("momentum",) if self.momentum else ()
        super().__init__(learning_rate, slot_names, clipnorm, clipvalue, global_clipnorm)

    def _rule(self, g: Array, change: Array, slots: Sequence[Array]) -> None:
        np.multiply(g, -self.learning_rate, out=change)  # -a g
        if slots:
            (m,) = slots
            m *= self.momentum
            m += change
            if self.nesterov:
                change += self.momentum * m
            else:
                change[:] = m


@final
class RMSprop(Optimizer):
    """Gradient over the root of its mean square, learning rate a, decay r in [0, 1), momentum b in [0, 1):

        v = r v + (1 - r) g^2
        u = r u + (1 - r) g,  v - u^2 in the place of v below          centered
        change = -a g / sqrt(v + epsilon)                              epsilon stands inside the root
        m = b m + change,  change = m                                  with momentum

    In the centered form v - u^2 is a variance; where rounding makes it negative it counts as 0 (Keras: NaN).
    Raises TypeError or ValueError for arguments out of range. Source: `keras.optimizers.RMSprop`.

    >>> params = {"w": np.array([1.0, 1.0])}
    >>> _ = RMSprop(learning_rate=0.1, rho=0.75).apply(params, {"w": np.array([1.0, 100.0])})
    >>> params["w"].round(4).tolist()
    [0.8, 0.8]
    """

    def __init__(
        self,
        learning_rate: float = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        *,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
    ) -> None:
        self.rho = real_number("rho", rho, below=1.0)
        self.momentum = real_number("momentum", momentum, below=1.0)
        self.epsilon = real_number("epsilon", epsilon, above=True)
        self.centered = _flag("centered", centered)
        optional = {"average_gradient": self.centered, "momentum": self.momentum > 0}
        slot_names = ("velocity", *(name for name, wanted in optional.items() if wanted))
        super().__init__(learning_rate, slot_names, clipnorm, clipvalue, global_clipnorm)

    def _rule(self, g: Array, change: Array, slots: Sequence[Array]) -> None:
        slot = dict(zip(self._slot_names, slots, strict=True))
        v = slot["velocity"]
        np.multiply(g, g, out=change)
        change *= 1 - self.rho
        v *= self.rho
        v += change  # r v + (1 - r) g^2
        if self.centered:
            u = slot["average_gradient"]
            np.multiply(g, 1 - self.rho, out=change)
            u *= self.rho
            u += change  # r u + (1 - r) g
            np.multiply(u, u, out=change)
            np.subtract(v, change, out=change)
            np.maximum(change, 0, out=change)  # v - u^2
            change += self.epsilon
        else:
            np.add(v, self.epsilon, out=change)
        np.sqrt(change, out=change)
        np.divide(g, change, out=change)
        change *= -self.learning_rate
        if self.momentum:
            m = slot["momentum"]
            m *= self.momentum
            m += change
            change[:] = m


@final
class Adam(Optimizer):
    """Mean gradient over the root of the mean square, both corrected for their start at 0. Step t = 1, 2, ..

        m = m + (1 - beta_1) (g - m)
        v = v + (1 - beta_2) (g^2 - v)
        a = learning_rate sqrt(1 - beta_2^t) / (1 - beta_1^t)
        change = -a m / (sqrt(v) + epsilon)            epsilon stands outside the root and the correction
        w = max(w, v), in the place of v above         amsgrad

    a is computed in the parameters' dtype, as in Keras: in float32, 1 - 0.999^t begins with an error of 1e-5,
    and an a without it would part from Keras's by as much. Squares of float32 gradients above 1e19 become
    inf, and such an entry moves no more: clip.
    Raises TypeError or ValueError for arguments out of range. Source: Kingma and Ba 2015, the form before
    section 2.1; Reddi et al. 2018 for amsgrad; `keras.optimizers.Adam`.

    >>> params = {"w": np.array([1.0, 1.0])}
    >>> _ = Adam(learning_rate=0.1).apply(params, {"w": np.array([1.0, 100.0])})
    >>> params["w"].round(4).tolist()
    [0.9, 0.9]
    """

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        *,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
    ) -> None:
        self.beta_1 = real_number("beta_1", beta_1, below=1.0)
        self.beta_2 = real_number("beta_2", beta_2, below=1.0)
        self.epsilon = real_number("epsilon", epsilon, above=True)
        self.amsgrad = _flag("amsgrad", amsgrad)
        slot_names = ("momentum", "velocity", "velocity_hat") if self.amsgrad else ("momentum", "velocity")
        super().__init__(learning_rate, slot_names, clipnorm, clipvalue, global_clipnorm)

    def _rule(self, g: Array, change: Array, slots: Sequence[Array]) -> None:
        m, v = slots[:2]
        np.subtract(g, m, out=change)
        change *= 1 - self.beta_1
        m += change
        np.multiply(g, g, out=change)
        change -= v
        change *= 1 - self.beta_2
        v += change
        if self.amsgrad:
            v = np.maximum(slots[2], v, out=slots[2])
        np.sqrt(v, out=change)
        change += self.epsilon
        np.divide(m, change, out=change)
        change *= -self._rate(g.dtype)

    def _rate(self, dtype: np.dtype[Any]) -> float:
        number, t = dtype.type, self.iterations + 1
        a = number(self.learning_rate) * np.sqrt(1 - number(self.beta_2) ** number(t))
        return float(a / (1 - number(self.beta_1) ** number(t)))


_OPTIMIZERS: dict[str, type[SGD] | type[RMSprop] | type[Adam]] = {
    "sgd": SGD,
    "rmsprop": RMSprop,
    "adam": Adam,
}


def get(identifier: object) -> Optimizer:
    """A new optimizer of that name with its defaults, or the optimizer itself; upper and lower case are one.

    Raises ValueError, with the known names, for anything else. Source: `keras.optimizers.get`.

    >>> get("Adam").learning_rate
    0.001
    """
    if isinstance(identifier, Optimizer):
        return identifier
    if not isinstance(identifier, str):
        raise ValueError(
            wording("optimizer", f"one of {', '.join(_OPTIMIZERS)} or an Optimizer", repr(identifier))
        )
    return _OPTIMIZERS[one_of("optimizer", identifier.lower(), _OPTIMIZERS)]()


def _norm(g: Array) -> float:
    """The L2 norm of one array; squares do not overflow, and the number of threads changes no bit."""
    flat = g.ravel()
    square = 0.0
    for start in range(0, flat.size, DOT):
        part = flat[start : start + DOT]
        square += float(np.dot(part, part))
    if 1e-20 < square < math.inf:
        return math.sqrt(square)
    largest = float(np.abs(flat).max(initial=0))  # too small, too large or not a number: scale first
    if largest == 0 or not math.isfinite(largest):
        return largest
    scaled = flat.astype(np.float64) / largest
    return largest * math.sqrt(float((scaled * scaled).sum()))


def _flag(argument: str, value: object) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(wording(argument, "True or False", repr(value)))
    return bool(value)
