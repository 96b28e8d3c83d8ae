"""Eight cells of at most ten lines each, written as a user would; what the tests of this folder are about."""

from __future__ import annotations

import numpy as np

import minilstm as ml


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def elman(xw, hu, prev, p):
    return (np.tanh(xw + hu),), ()


def leaky(xw, hu, prev, p):
    h = 0.9 * prev[0] + 0.1 * np.tanh(xw + hu)
    return (h,), (h - prev[0],)


def lstm(xw, hu, prev, p):
    i, f, g, o = np.split(xw + hu, 4, axis=-1)
    i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
    c = f * prev[1] + i * g
    return (o * np.tanh(c), c), (i, f, g, o)


def gru(xw, hu, prev, p):
    H = prev[0].shape[-1]
    zr = sigmoid(xw[:, : 2 * H] + hu[:, : 2 * H])
    z, r = zr[:, :H], zr[:, H:]
    g = np.tanh(xw[:, 2 * H :] + r * hu[:, 2 * H :])
    return (z * prev[0] + (1 - z) * g,), (z, r, g)


def peephole(xw, hu, prev, p):
    i, f, g, o = np.split(xw + hu, 4, axis=-1)
    c = sigmoid(f + p[1] * prev[1]) * prev[1] + sigmoid(i + p[0] * prev[1]) * np.tanh(g)
    return (sigmoid(o + p[2] * c) * np.tanh(c), c), ()


def independent(xw, hu, prev, p):
    z = xw + p[0] * prev[0]
    return (np.where(z.real > 0, z, 0.1 * z),), ()


def rotation(xw, hu, prev, p):
    _, a, b = prev
    u, v = np.split(xw, 2, axis=-1)
    decay, angle = np.exp(-np.exp(p[0])), p[1]
    a, b = (
        decay * (np.cos(angle) * a - np.sin(angle) * b) + u,
        decay * (np.sin(angle) * a + np.cos(angle) * b) + v,
    )
    return (np.tanh(a + b), a, b), ()


def stabilised(xw, hu, prev, p):
    z, i, f, o = np.split(xw + hu, 4, axis=-1)
    _, c, n, m = prev
    new = np.where((f + m).real > i.real, f + m, i)
    write, keep = np.exp(i - new), np.exp(f + m - new)
    c, n = keep * c + write * np.tanh(z), keep * n + write
    return (sigmoid(o) * c / n, c, n, new), (write, keep)


def made() -> dict[str, ml.cells.UserCell]:
    return {
        "elman": ml.cell(elman, gates=["z"]),
        "leaky": ml.cell(leaky, gates=["z"], kept=["step"]),
        "own_lstm": ml.cell(lstm, gates="ifgo", states="hc", bias={"f": 1.0}, name="own_lstm"),
        "own_gru": ml.cell(gru, gates="zrg", recurrent_bias=True, name="own_gru"),
        "peephole": ml.cell(peephole, gates="ifgo", states="hc", p={"pi": 0.1, "pf": -0.2, "po": 0.3}),
        "independent": ml.cell(independent, gates=["z"], p={"u": 0.9}),
        "rotation": ml.cell(rotation, gates="uv", states="hab", p={"nu": -1.0, "theta": 0.5}),
        "stabilised": ml.cell(stabilised, gates="zifo", states="hcnm", kept=["write", "keep"]),
    }
