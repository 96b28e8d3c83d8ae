"""Independent LSTMs to test against. Nothing here is imported from the package.

`run` goes sample by sample and step by step, straight from the paper (Hochreiter and Schmidhuber 1997,
forget gate of Gers et al. 2000), in float64 or complex128. Derivatives come from the complex step:
Im f(v + 1e-30 i) / 1e-30 has no cancellation and is exact to rounding. `torch_run` is the same network
as a loop of PyTorch operations, whose gradients come from autograd.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray
TINY = 1e-30


class Case(NamedTuple):
    """One network with its data, time-major; gates in the blocks i, f, g, o."""

    W: Array  # (D, 4H)
    U: Array  # (H, 4H)
    b: Array  # (4H,)
    x: Array  # (T, B, D)
    h0: Array  # (B, H)
    c0: Array  # (B, H)
    mask: Array | None  # (T, B) bool
    dh: Array  # (T, B, H) weight of each h_t in the loss
    dh_last: Array  # (B, H) weight of the last h, beside that
    dc_last: Array  # (B, H) weight of the last c


def draw(
    rng: np.random.Generator, T: int, B: int, D: int, H: int, mask: str = "none", scale: float = 0.7
) -> Case:
    """A random case. `mask` is none, random, pre, post, first, or rows (some rows without any real step)."""
    patterns = {
        "none": None,
        "random": rng.random((T, B)) < 0.6,
        "pre": np.arange(T)[:, None] >= T - rng.integers(0, T + 1, B),
        "post": np.arange(T)[:, None] < rng.integers(0, T + 1, B),
        "first": np.arange(T)[:, None] >= np.ones(B, int),
        "rows": np.ones((T, B), bool) & (rng.random(B) < 0.5),
        "all": np.zeros((T, B), bool),
    }
    return Case(
        W=rng.normal(size=(D, 4 * H)) * scale,
        U=rng.normal(size=(H, 4 * H)) * scale / np.sqrt(H),
        b=rng.normal(size=4 * H) * scale,
        x=rng.normal(size=(T, B, D)),
        h0=rng.uniform(-0.9, 0.9, (B, H)),
        c0=rng.normal(size=(B, H)),
        mask=patterns[mask],
        dh=rng.normal(size=(T, B, H)),
        dh_last=rng.normal(size=(B, H)),
        dc_last=rng.normal(size=(B, H)),
    )


def logistic(z: Array) -> Array:
    return 0.5 + 0.5 * np.tanh(0.5 * z)


class Run(NamedTuple):
    """States and gates of a forward pass, time-major; gates of masked steps are 0."""

    h: Array  # (T+1, B, H)
    c: Array  # (T+1, B, H)
    i: Array  # (T, B, H)
    f: Array
    g: Array
    o: Array


def run(case: Case, nudge_h: Array | None = None, nudge_c: Array | None = None) -> Run:
    """The forward pass. `nudge_h`, `nudge_c` (T, B, H) are added to h_t and c_t where they arise."""
    T, B, _ = case.x.shape
    H = len(case.U)
    inputs = [part for part in (*case[:6], nudge_h, nudge_c) if part is not None]
    dtype = np.result_type(*inputs)
    W = {name: case.W[:, k * H : (k + 1) * H] for k, name in enumerate("ifgo")}
    U = {name: case.U[:, k * H : (k + 1) * H] for k, name in enumerate("ifgo")}
    b = {name: case.b[k * H : (k + 1) * H] for k, name in enumerate("ifgo")}
    h, c = (np.zeros((T + 1, B, H), dtype) for _ in "hc")
    gates = {name: np.zeros((T, B, H), dtype) for name in "ifgo"}
    for sample in range(B):
        h_now, c_now = case.h0[sample], case.c0[sample]
        h[0, sample], c[0, sample] = h_now, c_now
        for t in range(T):
            if case.mask is None or case.mask[t, sample]:
                x_now = case.x[t, sample]
                z = {name: x_now @ W[name] + h_now @ U[name] + b[name] for name in "ifgo"}
                a = {name: np.tanh(z[name]) if name == "g" else logistic(z[name]) for name in "ifgo"}
                for name in "ifgo":
                    gates[name][t, sample] = a[name]
                c_now = a["f"] * c_now + a["i"] * a["g"]
                if nudge_c is not None:
                    c_now = c_now + nudge_c[t, sample]
                h_now = a["o"] * np.tanh(c_now)
            elif nudge_c is not None:
                c_now = c_now + nudge_c[t, sample]
            if nudge_h is not None:
                h_now = h_now + nudge_h[t, sample]
            h[t + 1, sample], c[t + 1, sample] = h_now, c_now
    return Run(h, c, *gates.values())


def loss(case: Case, nudge_h: Array | None = None, nudge_c: Array | None = None) -> complex:
    """A number that every output of the network enters, with the weights of the case."""
    found = run(case, nudge_h, nudge_c)
    last = (case.dh_last * found.h[-1]).sum() + (case.dc_last * found.c[-1]).sum()
    return complex((case.dh * found.h[1:]).sum() + last)


def complex_step(function: Callable[..., complex], arrays: Sequence[Array]) -> list[Array]:
    """d function(*arrays) / d(every entry of every array)."""
    gradients = []
    for k, array in enumerate(arrays):
        gradient = np.zeros(array.shape)
        for index in np.ndindex(array.shape):
            nudged = array.astype(complex)
            nudged[index] += TINY * 1j
            gradient[index] = function(*arrays[:k], nudged, *arrays[k + 1 :]).imag / TINY
        gradients.append(gradient)
    return gradients


def gradients(case: Case) -> dict[str, Array]:
    """Every gradient of `loss`: W U b x h0 c0, and the total dL/dh_t, dL/dc_t of each step."""
    names = ("W", "U", "b", "x", "h0", "c0")
    found = complex_step(lambda *parts: loss(case._replace(**dict(zip(names, parts, strict=True)))), case[:6])
    nudge = np.zeros((*case.x.shape[:2], len(case.U)))
    steps = complex_step(lambda dh, dc: loss(case, dh, dc), [nudge, nudge])
    return dict(zip((*names, "h", "c"), (*found, *steps), strict=True))


def torch_run(
    W: Any, U: Any, b: Any, x: Any, h: Any, c: Any, mask: Any = None, cut: int | None = None
) -> tuple[list[Any], list[Any], list[Any]]:
    """h, c (lists over t) and z (list of (B, 4H), gate blocks i f g o) as tensors that keep gradients.

    `cut` detaches the state every `cut` steps: truncated BPTT.
    """
    import torch

    hs, cs, zs = [], [], []
    for t in range(len(x)):
        if cut is not None and t and t % cut == 0:
            h, c = h.detach(), c.detach()
        z = x[t] @ W + h @ U + b
        z_i, z_f, z_g, z_o = z.chunk(4, dim=1)
        c_new = torch.sigmoid(z_f) * c + torch.sigmoid(z_i) * torch.tanh(z_g)
        if mask is not None:
            c_new = torch.where(mask[t][:, None], c_new, c)
        c_new.retain_grad()
        h_new = torch.sigmoid(z_o) * torch.tanh(c_new)
        if mask is not None:
            h_new = torch.where(mask[t][:, None], h_new, h)
        h_new.retain_grad()
        z.retain_grad()
        h, c = h_new, c_new
        hs.append(h)
        cs.append(c)
        zs.append(z)
    return hs, cs, zs


def torch_gradients(case: Case, cut: int | None = None) -> dict[str, Array]:
    """As `gradients`, from autograd; and "z", (T, B, 4H)."""
    import torch

    leaves = {name: torch.tensor(getattr(case, name), requires_grad=True) for name in case._fields[:6]}
    mask = None if case.mask is None else torch.tensor(case.mask)
    h, c, z = torch_run(*leaves.values(), mask, cut)
    total = sum((torch.tensor(weight) * state).sum() for weight, state in zip(case.dh, h, strict=True))
    last = (torch.tensor(case.dh_last) * h[-1]).sum() + (torch.tensor(case.dc_last) * c[-1]).sum()
    (total + last).backward()
    found = {name: _gradient(leaf) for name, leaf in leaves.items()}
    for name, states in (("h", h), ("c", c), ("z", z)):
        found[name] = np.stack([_gradient(state) for state in states])
    return found


def _gradient(tensor: Any) -> Array:
    return np.zeros(tuple(tensor.shape)) if tensor.grad is None else tensor.grad.numpy()
