"""The network of 1997 compiled: sequences one after another, each learned online as it comes.

Equations, tags and layout of the weights are those of `classic.network`. Inputs come by their entries that
are not 0 (`classic.online.Sequences`), so that a symbol costs the same in an alphabet of 7 and of 1,000. As
in the other kernels, nothing is validated and nothing allocated. The inner loops run over units, which lie
side by side in W and in the traces.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from minilstm.compiled.entry_points import entry_point
from minilstm.compiled.jit import FUSED, kernel
from minilstm.foundations.arrays import Array

fused = partial(kernel, options=FUSED)


@fused
def logistic(a: Any) -> Any:
    """1 / (1 + exp(-a)); exp(-a) may overflow to inf, which gives 0."""
    return 1.0 / (1.0 + math.exp(-a))


@fused
def add_row(total: Array, row: Array, factor: Any) -> None:
    """total += factor * row."""
    for k in range(total.size):
        total[k] += factor * row[k]


@fused
def hidden(
    W: Array, one: Array, x_column: Array, x_value: Array, y: Array, a: Array, s: Array, h: Array, to: Array
) -> None:  # fmt: skip
    """One step of the hidden units: y before it -> a; s and h(s); what T2 and T1 add per unit of z."""
    Z, H = W.shape
    C = s.size
    blocks = (H - C) // 2
    size = C // blocks
    for k in range(H):  # C1
        a[k] = one[k] * W[Z - 1, k]
    for e in range(x_column.size):
        add_row(a, W[x_column[e]], x_value[e])
    for i in range(H):
        add_row(a, W[Z - 1 - H + i], y[i])
    for j in range(2 * blocks):  # C2
        a[j] = logistic(a[j])
    for v in range(C):
        y_in, c = a[v // size], 4 * logistic(a[2 * blocks + v]) - 2  # C3
        to[v] = c * y_in * (1 - y_in)
        to[C + v] = y_in * (1 - c * c / 4)
        s[v] += y_in * c  # C4
        h[v] = 2 * logistic(s[v]) - 1
        a[2 * blocks + v] = a[blocks + v // size] * h[v]  # C5


@fused
def trace(P: Array, to: Array, x_column: Array, x_value: Array, y: Array) -> None:
    """P += z' to, column by column of z: T2 and T1."""
    for e in range(x_column.size):
        add_row(P[x_column[e]], to, x_value[e])
    for i in range(y.size):
        add_row(P[P.shape[0] - 1 - y.size + i], to, y[i])
    add_row(P[P.shape[0] - 1], to, 1.0)


@fused
def output(V: Array, one_out: float, y_c: Array, found: Array) -> None:
    """C6."""
    C = y_c.size
    for k in range(found.size):
        net = one_out * V[C, k]
        for v in range(C):
            net += y_c[v] * V[v, k]
        found[k] = logistic(net)


@fused
def gradient_of_outputs(V: Array, dV: Array, one_out: float, y_c: Array, d: Array, dcell: Array) -> None:
    """G2: dV += [y_c, 1]' d, dcell = dy_c."""
    C = y_c.size
    for v in range(C):
        dcell[v] = 0
        for k in range(d.size):
            dcell[v] += V[v, k] * d[k]
            dV[v, k] += y_c[v] * d[k]
    for k in range(d.size):
        dV[C, k] += one_out * d[k]


@fused
def gradient_of_hidden(
    dW: Array, one: Array, x_column: Array, x_value: Array, y: Array, a: Array, h: Array, P: Array,
    dcell: Array,
) -> None:  # fmt: skip
    """G3 to G5: dW += that of this step, from dcell = dy_c."""
    Z, H = dW.shape
    C = dcell.size
    blocks = (H - C) // 2
    size = C // blocks
    for j in range(blocks):  # G3
        gate, dgate = blocks + j, 0.0
        for v in range(j * size, (j + 1) * size):
            dgate += dcell[v] * h[v]
        dgate *= a[gate] * (1 - a[gate])
        for e in range(x_column.size):
            dW[x_column[e], gate] += dgate * x_value[e]
        for i in range(H):
            dW[Z - 1 - H + i, gate] += dgate * y[i]
        dW[Z - 1, gate] += dgate * one[gate]
    for v in range(C):  # G4
        dcell[v] *= a[blocks + v // size] * (1 - h[v] * h[v]) / 2
    for i in range(Z):  # G5
        for v in range(C):
            gate, cell = v // size, 2 * blocks + v
            dW[i, gate] += dcell[v] * P[i, v] * (one[gate] if i == Z - 1 else 1.0)
            dW[i, cell] += dcell[v] * P[i, C + v] * (one[cell] if i == Z - 1 else 1.0)


@fused
def update(weight: Array, gradient: Array, rate: float) -> None:
    """weight -= rate * gradient, which becomes 0."""
    for i in range(weight.shape[0]):
        for k in range(weight.shape[1]):
            weight[i, k] -= rate * gradient[i, k]
            gradient[i, k] = 0


def learn(
    W: Array, V: Array, one: Array, one_out: float, rate: float,
    column: Array, value: Array, start: Array, first: Array, target_row: Array, targets: Array,
    outputs: Array, y: Array, a: Array, s: Array, h: Array, to: Array, P: Array, d: Array, dcell: Array,
    dW: Array, dV: Array,
) -> None:  # fmt: skip
    """Read sequences and learn from each at its end; rate 0: only the outputs.

    W, V : as in `classic.network`;  one, one_out : what bias weights read;  column to targets : see
    `classic.online.Sequences`;  outputs : (rows, K), filled;  y to dV : see `rooms`, among them
    P (D+H+1, 2C) : [P_in, P_c]
    """
    y_c = a[a.size - s.size :]
    for n in range(first.size - 1):
        y[:] = 0
        s[:] = 0
        P[:] = 0
        for t in range(first[n], first[n + 1]):
            x_column, x_value = column[start[t] : start[t + 1]], value[start[t] : start[t + 1]]
            hidden(W, one, x_column, x_value, y, a, s, h, to)
            if rate != 0:
                trace(P, to, x_column, x_value, y)
            row = target_row[t]
            if row >= 0:
                found = outputs[row]
                output(V, one_out, y_c, found)
                if rate != 0:
                    for k in range(d.size):  # G1
                        d[k] = (found[k] - targets[row, k]) * found[k] * (1 - found[k])
                    gradient_of_outputs(V, dV, one_out, y_c, d, dcell)
                    gradient_of_hidden(dW, one, x_column, x_value, y, a, h, P, dcell)
            for k in range(y.size):
                y[k] = a[k]
        if rate != 0:
            update(W, dW, rate)
            update(V, dV, rate)


run_learn = entry_point(learn, FUSED, products=False)


def rooms(W: Array, V: Array) -> tuple[Array, ...]:
    """The arrays from y to dV that `learn` wants for these weights: zeros."""
    (Z, H), (C, K) = W.shape, (V.shape[0] - 1, V.shape[1])
    sizes = H, H, C, C, 2 * C, (Z, 2 * C), K, C, (Z, H), (C + 1, K)
    return tuple(np.zeros(size) for size in sizes)
