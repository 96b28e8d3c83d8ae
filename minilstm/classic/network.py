"""The LSTM of 1997: memory blocks whose cells share their gates, no forget gate, a truncated gradient.

Symbols. D inputs, K outputs, b blocks of s cells each: C = b s cells. The H = 2b + C hidden units stand in
the order input gates, output gates, cells; cell v belongs to block j = v // s. All units are logistic or
scaled logistic: g(a) = 4 sigmoid(a) - 2 lies in [-2, 2], h(a) = 2 sigmoid(a) - 1 in [-1, 1].

Forward, one time step:

    C1  z = [x, y_in, y_out, y_c, 1]     this step's input, hidden units of the step before, 1 for the bias
    C2  y_in = sigmoid(z W_in)           one input gate for the cells of a block
        y_out = sigmoid(z W_out)         one output gate
    C3  c = g(z W_c)                     what each cell is offered
    C4  s = s_prev + y_in c              cell state: nothing decays, ds/ds_prev = 1
    C5  y_c = y_out h(s)                 what each cell shows
    C6  y = sigmoid([y_c, 1] V)          outputs see cells only
    C7  E = sum (y - target)^2 / 2       at the steps that have a target

The truncated gradient takes z for a constant: an error that would leave a gate or the input of a cell for
the step before is dropped, and only the way through C4 leads back in time. Then s is a plain sum over
time, and its derivatives by the weights are running sums, kept forward in time: one number for each weight
of a cell, and one for each weight of an input gate and cell of its block, however long the sequence is.

    T1  P_c  = ds_v / dW_c[:, v]  = P_c_prev  + y_in g'(a) z            from C3, C4; g' = 1 - c^2 / 4
    T2  P_in = ds_v / dW_in[:, j] = P_in_prev + c y_in (1 - y_in) z     from C2, C4

and where a step has a target, from the bottom up:

    G1  d = (y - target) y (1 - y)                               from C7, C6
    G2  dV = [y_c, 1]' d,  dy_c = V d                            from C6
    G3  dW_out[:, j] = z y_out (1 - y_out) sum_{v in j} dy_c h(s)   from C5, C2
    G4  ds = dy_c y_out h'(s)                                    from C5; h' = (1 - h^2) / 2
    G5  dW_c[:, v] = ds_v P_c,  dW_in[:, j] = sum_{v in j} ds_v P_in    from T1, T2

Learning is online: W := W - rate dW after each sequence, dW being summed over its steps that have a target.

This is the readable form; the compiled one stands in `compiled.classic`. It is not a layer of a model, and
no option of the LSTM of today. Source: S. Hochreiter and J. Schmidhuber, "Long Short-Term Memory", Neural
Computation 9(8), 1997, sections 4 and 5, tables 10 and 11.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from minilstm.bptt.activations import sigmoid
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import one_of, whole_number

BIASES = ("none", "gates", "hidden", "all")


class Weights(NamedTuple):
    """W (D+H+1, H) of the hidden units, V (C+1, K) of the outputs; the last rows are the biases."""

    W: Array
    V: Array

    def copy(self) -> Weights:
        return Weights(self.W.copy(), self.V.copy())


@dataclass(frozen=True)
class Shape:
    """Sizes of a network, and which of its units have bias weights.

    >>> Shape(inputs=2, blocks=2, size=2, outputs=1).count
    93
    """

    inputs: int
    blocks: int
    size: int
    outputs: int
    bias: str = "all"

    def __post_init__(self) -> None:
        for name in ("inputs", "blocks", "size", "outputs"):
            whole_number(name, getattr(self, name))
        one_of("bias", self.bias, BIASES)

    @property
    def cells(self) -> int:
        return self.blocks * self.size

    @property
    def hidden(self) -> int:
        return 2 * self.blocks + self.cells

    @property
    def one(self) -> Array:
        """What each hidden unit's bias weight reads: 1, or 0 where the unit has no bias; (H,) float64."""
        gates, cells = self.bias != "none", self.bias in ("hidden", "all")
        return np.repeat([gates, cells], [2 * self.blocks, self.cells]).astype(float)

    @property
    def one_out(self) -> float:
        """The same for the outputs."""
        return float(self.bias == "all")

    @property
    def count(self) -> int:
        """The number of weights."""
        hidden = (self.inputs + self.hidden) * self.hidden + int(self.one.sum())
        return hidden + (self.cells + int(self.one_out)) * self.outputs

    def draw(
        self,
        rng: np.random.Generator,
        scale: float,
        input_gate_bias: Sequence[float] = (),
        output_gate_bias: Sequence[float] = (),
    ) -> Weights:
        """Weights from U[-scale, scale); the gates' biases as given, block by block, where they are."""
        W = rng.uniform(-scale, scale, (self.inputs + self.hidden + 1, self.hidden))
        V = rng.uniform(-scale, scale, (self.cells + 1, self.outputs))
        W[-1, : len(input_gate_bias)] = input_gate_bias
        W[-1, self.blocks : self.blocks + len(output_gate_bias)] = output_gate_bias
        W[-1] *= self.one
        V[-1] *= self.one_out
        return Weights(W, V)


class Step(NamedTuple):
    """One time step: z (D+H+1,), y (H,) of the hidden units, c and s (C,), output (K,)."""

    z: Array
    y: Array
    c: Array
    s: Array
    output: Array


def g(a: Array) -> Array:
    """4 sigmoid(a) - 2, in [-2, 2]."""
    return 4 * sigmoid(a) - 2


def h(a: Array) -> Array:
    """2 sigmoid(a) - 1, in [-1, 1]."""
    return 2 * sigmoid(a) - 1


def start(shape: Shape) -> tuple[Array, Array]:
    """y (H,) and s (C,) before the first step: zeros."""
    return np.zeros(shape.hidden), np.zeros(shape.cells)


def step(shape: Shape, weights: Weights, x: Array, y: Array, s: Array) -> Step:
    """One step from the hidden units' y and the cells' s. Real or complex."""
    b = shape.blocks
    z = np.concatenate([x, y, [1]])  # C1
    a = z[:-1] @ weights.W[:-1] + shape.one * weights.W[-1]
    gates = sigmoid(a[: 2 * b])  # C2
    y_in, y_out = (np.repeat(gate, shape.size) for gate in np.split(gates, 2))  # (C,) each
    c = g(a[2 * b :])  # C3
    s = s + y_in * c  # C4
    y_c = y_out * h(s)  # C5
    output = sigmoid(y_c @ weights.V[:-1] + shape.one_out * weights.V[-1])  # C6
    return Step(z, np.concatenate([gates, y_c]), c, s, output)


def steps(shape: Shape, weights: Weights, x: Array) -> Iterator[Step]:
    """The steps over x (T, D), from the start."""
    y, s = start(shape)
    for row in x:
        now = step(shape, weights, row, y, s)
        y, s = now.y, now.s
        yield now


class Traces:
    """The derivatives of the cell states by the weights, kept forward in time: P_c, P_in, (D+H+1, C) each."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.P_c, self.P_in = np.zeros((2, shape.inputs + shape.hidden + 1, shape.cells))

    def advance(self, now: Step) -> None:
        """Take in one step."""
        y_in = np.repeat(now.y[: self.shape.blocks], self.shape.size)
        self.P_c += np.outer(now.z, y_in * (1 - now.c**2 / 4))  # T1
        self.P_in += np.outer(now.z, now.c * y_in * (1 - y_in))  # T2

    def gradient(self, weights: Weights, now: Step, target: Array) -> Weights:
        """The truncated gradient of this step's E, in the shapes of the weights."""
        shape, b = self.shape, self.shape.blocks
        y_out, y_c = now.y[b : 2 * b], now.y[2 * b :]
        d = (now.output - target) * now.output * (1 - now.output)  # G1
        dV = np.outer([*y_c, shape.one_out], d)  # G2
        dy_c = weights.V[:-1] @ d
        h_s, by_block = h(now.s), (b, shape.size)
        dy_out = (dy_c * h_s).reshape(by_block).sum(axis=1)  # G3  (b,)
        ds = dy_c * np.repeat(y_out, shape.size) * (1 - h_s**2) / 2  # G4
        dW_in = (ds * self.P_in).reshape(-1, *by_block).sum(axis=2)  # G5
        dW_out = np.outer(now.z, dy_out * y_out * (1 - y_out))  # G3
        dW = np.concatenate([dW_in, dW_out, ds * self.P_c], axis=1)  # (D+H+1, H)
        dW[-1] *= shape.one
        return Weights(dW, dV)


def truncated_gradient(shape: Shape, weights: Weights, x: Array, targets: Array) -> tuple[Weights, Array]:
    """The truncated gradient of the sum of E over a sequence, and its outputs (T, K).

    x (T, D); targets (T, K), with rows of NaN at the steps that have none.
    """
    traces, outputs = Traces(shape), []
    total = Weights(np.zeros_like(weights.W), np.zeros_like(weights.V))
    for now, target in zip(steps(shape, weights, x), targets, strict=True):
        traces.advance(now)
        outputs.append(now.output)
        if not np.isnan(target).any():
            for sum_, part in zip(total, traces.gradient(weights, now, target), strict=True):
                sum_ += part
    return total, np.array(outputs)


def learn(shape: Shape, weights: Weights, x: Array, targets: Array, rate: float) -> Array:
    """Online learning on one sequence, in place; its outputs (T, K), those of before the update."""
    gradient, outputs = truncated_gradient(shape, weights, x, targets)
    for weight, part in zip(weights, gradient, strict=True):
        weight -= rate * part
    return outputs
