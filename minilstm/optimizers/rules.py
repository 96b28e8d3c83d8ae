"""The formulas of the steps: SGD, RMSprop, Adam, AdamW."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np

from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import flag, real_number, wording
from minilstm.optimizers.base import Optimizer
from minilstm.optimizers.schedules import LearningRateSchedule


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
        learning_rate: float | LearningRateSchedule = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        *,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        **words: Any,
    ) -> None:
        self.momentum = real_number("momentum", momentum, below=1.0)
        self.nesterov = flag("nesterov", nesterov)
        slot_names = ("momentum",) if self.momentum else ()
        super().__init__(
            learning_rate, slot_names, weight_decay, clipnorm, clipvalue, global_clipnorm, **words
        )

    def _change(self, a: float, g: Array, slots: Sequence[Array]) -> Array:
        change = g * -a
        if not slots:
            return change
        (m,) = slots
        m *= self.momentum
        m += change
        return change + self.momentum * m if self.nesterov else m


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
        learning_rate: float | LearningRateSchedule = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        *,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        **words: Any,
    ) -> None:
        self.rho = real_number("rho", rho, below=1.0)
        self.momentum = real_number("momentum", momentum, below=1.0)
        self.epsilon = real_number("epsilon", epsilon, above=True)
        self.centered = flag("centered", centered)
        optional = {"average_gradient": self.centered, "momentum": self.momentum > 0}
        slot_names = ("velocity", *(name for name, wanted in optional.items() if wanted))
        super().__init__(
            learning_rate, slot_names, weight_decay, clipnorm, clipvalue, global_clipnorm, **words
        )

    def _change(self, a: float, g: Array, slots: Sequence[Array]) -> Array:
        slot = dict(zip(self.slot_names, slots, strict=True))
        v = slot["velocity"]
        change = g * g
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
        change *= -a
        if not self.momentum:
            return change
        m = slot["momentum"]
        m *= self.momentum
        m += change
        return m


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
        learning_rate: float | LearningRateSchedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        *,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        **words: Any,
    ) -> None:
        self.beta_1 = real_number("beta_1", beta_1, below=1.0)
        self.beta_2 = real_number("beta_2", beta_2, below=1.0)
        self.epsilon = real_number("epsilon", epsilon, above=True)
        self.amsgrad = flag("amsgrad", amsgrad)
        slot_names = ("momentum", "velocity", "velocity_hat") if self.amsgrad else ("momentum", "velocity")
        super().__init__(
            learning_rate, slot_names, weight_decay, clipnorm, clipvalue, global_clipnorm, **words
        )

    def _change(self, a: float, g: Array, slots: Sequence[Array]) -> Array:
        m, v = slots[:2]
        change = g - m
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
        change *= -a
        return change

    def _advance(self, a: float, w: Array, g: Array) -> None:
        if self.backend == "numpy" or self.amsgrad:
            super()._advance(a, w, g)
            return
        from minilstm.compiled import entry_points

        number = w.dtype.type
        rates = number(a), number(1 - self.beta_1), number(1 - self.beta_2), number(self.epsilon)
        entry_points.run_adam(w, g, *self.slots.values(), *rates)

    def _rate(self, dtype: np.dtype[Any]) -> float:
        number, t = dtype.type, self.iterations + 1
        a = number(self.learning_rate) * np.sqrt(1 - number(self.beta_2) ** number(t))
        return float(a / (1 - number(self.beta_1) ** number(t)))


@final
class AdamW(Adam):
    """Adam with weight decay: w becomes w - wd learning_rate w before each step; wd is 0.004 if not given.

    As in Keras all parameters decay, biases too.
    Source: Loshchilov and Hutter 2019; `keras.optimizers.AdamW`.

    >>> params = {"w": np.array([1.0])}
    >>> _ = AdamW(learning_rate=0.1, weight_decay=0.5).apply(params, {"w": np.array([0.0])})
    >>> params["w"].round(4).tolist()
    [0.95]
    """

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        *,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        **words: Any,
    ) -> None:
        if weight_decay is None:
            raise ValueError(wording("weight_decay", "a number >= 0 (Adam has none)", None))
        super().__init__(
            learning_rate,
            beta_1,
            beta_2,
            epsilon,
            amsgrad,
            weight_decay=weight_decay,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            **words,
        )
