"""The network as a dynamical system: Jacobians of one step along the data, and of many steps.

J_t = d(state after step t) / d(state before it), at the states that the user's own data led to. The state
is (h, c) side by side for an LSTM, 2H numbers, and h for the others: leaving c out would leave out the path
that makes an LSTM an LSTM. Backpropagation multiplies a gradient by J_T, J_{T-1}, ..., J_1; what these
products do to lengths is all there is to vanishing and exploding.

Everything is float64 and computed from the trace's states with the cell's own forward and backward step.
A masked step holds the state: its Jacobian is the identity.
"""

from __future__ import annotations

import numpy as np

from minilstm.bptt.cell import Weights
from minilstm.bptt.simple_rnn import SimpleRNNCell
from minilstm.foundations.arrays import Array, numeric_array
from minilstm.foundations.errors import instance, listed, whole_number, wording
from minilstm.foundations.norms import norm
from minilstm.trace.recording import ONE_LAYER, Recording


def jacobians(trace: Recording, sample: int = 0) -> Array:
    """The one-step Jacobian at every time step of one sample: (T, S, S), S = 2H for an LSTM, else H.

    >>> import minilstm as ml
    >>> model = ml.Sequential([ml.LSTM(4, input_shape=(6, 2)), ml.Dense(1)], seed=0)
    >>> model.compile(loss="mse")
    >>> jacobians(model.trace(np.ones((3, 6, 2)), np.zeros(3))["lstm"]).shape
    (6, 8, 8)
    """
    row = _sample(trace, sample)
    cell, weights = trace.cell, Weights(*(None if w is None else w.astype(np.float64) for w in trace.weights))  # type: ignore[arg-type]
    prev = tuple(trace.before(state)[row].astype(np.float64) for state in cell.states)  # (T, H) each
    xw = trace.x[row].astype(np.float64) @ weights.W + weights.b
    hu = prev[0] @ weights.U + (0 if weights.rb is None else weights.rb)
    state, kept = cell.forward(xw, hu, prev, weights.p)
    (T, H), n = prev[0].shape, len(cell.states)
    found = np.empty((T, n * H, n * H))
    for k in range(n * H):  # row k: the gradient of one component of the state after the step
        dstate = tuple(np.zeros((T, H)) for _ in cell.states)
        dstate[k // H][:, k % H] = 1
        step = cell.backward(dstate, prev, state, kept, weights.p)
        dprev = [step.dprev[0] + step.dhu @ weights.U.T, *step.dprev[1:]]
        found[:, k] = np.concatenate(dprev, axis=1)
    found[~trace.real[row]] = np.eye(n * H)
    return found


def product(steps: Array) -> Array:
    """J_T ... J_2 J_1 of Jacobians in order of time (T, S, S): d(last state) / d(first state), (S, S)."""
    steps = _jacobians(steps)
    found = np.eye(steps.shape[1])
    for step in steps:
        found = step @ found
    return found


def singular_values(steps: Array, length: int = 1) -> Array:
    """Singular values of every product of `length` consecutive Jacobians: (T - length + 1, S), falling.

    The first column is the spectral norm: the most that `length` steps can lengthen a perturbation.
    """
    steps = _jacobians(steps)
    T = len(steps)
    if whole_number("length", length) > T:
        raise ValueError(wording("length", f"a whole number <= {T}, the number of steps", length))
    products = np.stack([product(steps[start : start + length]) for start in range(T - length + 1)])
    found: Array = np.linalg.svd(products, compute_uv=False)
    return found


def lyapunov_exponents(steps: Array) -> Array:
    """Finite-time Lyapunov exponents, (S,), falling: mean ln of stretching per step, by QR after each step.

    Positive: a perturbation (and a gradient) grows; negative: it dies out. -inf in a direction that a step
    maps to zero. Benettin et al. 1980; the QR form of Eckmann and Ruelle 1985.

    >>> steps = np.broadcast_to(np.diag([2.0, 0.5]), (10, 2, 2))
    >>> np.round(lyapunov_exponents(steps), 3).tolist()
    [0.693, -0.693]
    """
    steps = _jacobians(steps)
    T, S, _ = steps.shape
    frame, total = np.eye(S), np.zeros(S)
    for step in steps:
        frame, r = np.linalg.qr(step @ frame)
        with np.errstate(divide="ignore"):
            total += np.log(np.abs(np.diag(r)))
    return np.sort(total / T)[::-1]


def credit_map(trace: Recording, steps: list[int] | None = None, sample: int = 0) -> Array:
    """||dh_t / dh_s|| of one sample for chosen t and all s, as a matrix (number of t, T); nan for s > t.

    How much of what h_t says can be traced back to h_s: the Frobenius norm of the h-h block of the product
    of Jacobians, divided by sqrt(H), so that it is 1 for s = t. All steps t if `steps` is None. The cell
    state's path counts: a change of h_s enters c_{s+1} and may come back to h much later.

    Costs (number of t) T / 2 products of (H, S) with (S, S): about 2 s for all t at T = 200, H = 64.
    """
    jacobian = jacobians(trace, sample)
    T, H = len(jacobian), trace.h.shape[-1]
    given = range(T) if steps is None else listed("steps", "a list of time steps", steps)
    chosen = np.array([_step(step, T) for step in given], int)
    order = np.argsort(-chosen, kind="stable")  # the latest first: those that s has passed are a prefix
    found = np.full((len(chosen), T), np.nan)
    rows = np.zeros((len(chosen), H, jacobian.shape[1]))  # d h_t / d state_s
    for s in reversed(range(T)):
        begun = int((chosen >= s).sum())
        rows[:begun][chosen[order[:begun]] == s, :, :H] = np.eye(H)
        found[order[:begun], s] = norm(rows[:begun, :, :H], (1, 2)) / np.sqrt(H)
        flat = rows[:begun].reshape(begun * H, rows.shape[-1])
        rows[:begun] = (flat @ jacobian[s]).reshape(begun, H, rows.shape[-1])
    return found


def pascanu_bound(trace: Recording) -> float:
    """eta of Pascanu et al. 2013: ||dh_t / dh_s|| <= eta^(t - s) for a simple recurrent network.

    The largest singular value of U times the largest slope of the activation: 1 for tanh, 1/4 for the
    logistic function. Below 1 the gradient must vanish; above 1 it may explode. ValueError for other cells,
    whose paths past U it does not know.
    """
    instance("trace", trace, Recording, ONE_LAYER)
    if not isinstance(trace.cell, SimpleRNNCell):
        raise ValueError(wording("trace", "that of a SimpleRNN", trace.cell.name))
    return float(trace.cell.activation.slope * np.linalg.norm(trace.weights.U.astype(np.float64), 2))


def _jacobians(steps: Array) -> Array:
    steps = numeric_array("steps", steps)
    if steps.ndim != 3 or steps.shape[1] != steps.shape[2] or len(steps) == 0:
        raise ValueError(wording("steps", "(T, S, S) Jacobians, T >= 1", np.shape(steps)))
    return steps


def _sample(trace: Recording, sample: int) -> int:
    instance("trace", trace, Recording, ONE_LAYER)
    if not trace.real[trace.row(sample)].any():
        raise ValueError(
            wording("sample", "one with at least one real step", f"{sample}, which is all masked")
        )
    return sample


def _step(step: int, T: int) -> int:
    if not whole_number("steps", step, 0) < T:
        raise ValueError(wording("steps", f"time steps below {T}", step))
    return step
