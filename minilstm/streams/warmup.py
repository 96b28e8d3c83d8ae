"""How many steps of the past must be replayed until a cold state agrees with the true one.

Measured: copies of the sequences begin with a state of zeros in the middle of them, and run beside the true
ones. Predicted: a difference shrinks by exp(lambda) a step, lambda being the largest Lyapunov exponent along
the data (`dynamics`), so that it takes ln(tolerance) / lambda steps to come down from the size of the state
itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from minilstm.bptt.cell import State
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import real_number, shown, wording
from minilstm.network import batches, passes
from minilstm.network.network import Network
from minilstm.network.states import own_states
from minilstm.streams.stream import Stream
from minilstm.trace.dynamics import jacobians, lyapunov_exponents

STARTS = 8  # cold starts in each sequence
SAMPLES = 4  # whose exponents are taken
STEPS = 1000  # of each of them, at most


@dataclass(frozen=True)
class Warmup:
    """What `stream_warmup` found, in steps.

    measured : the median over all cold starts, inf where half of them do not come to agree;
    longest : the most that any of them took, inf where one does not come to agree;
    predicted : ln(tolerance) / exponent, inf where the exponent is not negative;
    exponent : the largest Lyapunov exponent of any layer along the data, per step;
    tolerance : largest difference of a state, relative to the layer's largest
    """

    measured: float
    longest: float
    predicted: float
    exponent: float
    tolerance: float

    @property
    def forgets(self) -> bool:
        """Whether differences die out: the exponent is negative."""
        return self.exponent < 0

    def __str__(self) -> str:
        if not self.forgets:
            return (
                f"this network does not forget how it began: its largest Lyapunov exponent is "
                f"{self.exponent:.3g} >= 0 along these data; measured: {self.measured:g} steps"
            )
        return (
            f"after {self.measured:g} steps (at most {self.longest:g}) a cold state agrees to "
            f"{self.tolerance:g}; predicted from the exponent {self.exponent:.3g}: {self.predicted:.0f}"
        )


def stream_warmup(model: Network, x: ArrayLike, tolerance: float = 1e-6) -> Warmup:
    """How many past steps to replay before a stream may go on from a state of zeros.

    x : (N, T, D) sequences (ids (N, T) for an Embedding), each long enough to forget in half of it;
    tolerance : how closely the states must agree, relative to the largest of the layer, below 1

    >>> import minilstm as ml
    >>> model = ml.Sequential([ml.LSTM(4, input_shape=(None, 2)), ml.Dense(1)], seed=0)
    >>> found = stream_warmup(model, np.random.default_rng(0).normal(size=(3, 200, 2)))
    >>> found.forgets, found.predicted / 2 < found.measured < found.predicted * 2
    (True, True)
    """
    if not isinstance(model, Network):
        raise TypeError(wording("model", "a Sequential", shown(model)))
    tolerance = real_number("tolerance", tolerance, above=True, below=1.0)
    array, _ = batches.checked_inputs(model, x, None)
    N, T = array.shape[:2]
    if N == 0 or T < 2 * STARTS:
        raise ValueError(wording("x", f"of at least 1 sequence of {2 * STARTS} steps", array.shape))
    taken = _measure(model, array, tolerance)
    exponent = _exponent(model, array[:SAMPLES, :STEPS])
    predicted = math.log(tolerance) / exponent if exponent < 0 else math.inf
    middle = float(np.sort(taken)[len(taken) // 2])
    return Warmup(middle, float(taken.max()), predicted, exponent, tolerance)


def _measure(model: Network, x: Array, tolerance: float) -> Array:
    """The steps that each cold start takes to agree and stay so: (N STARTS,), inf where it does not."""
    N, T = x.shape[:2]
    starts = np.arange(1, STARTS + 1) * (T // 2) // STARTS
    rows = np.arange((STARTS + 1) * N).reshape(STARTS + 1, N)  # the first block is the true one
    stream = Stream(model, rows.size)
    apart = np.zeros((STARTS, N))  # the last step after which they did not agree, counted from the start
    for t in range(T):
        for k in np.flatnonzero(starts == t):
            stream.reset(rows[1 + k])
        stream(np.tile(x[:, t], (STARTS + 1, *(1 for _ in x.shape[2:]))))
        far = np.any([_far(state, N, tolerance) for state in stream.state.values()], axis=0)  # (STARTS, N)
        begun = starts <= t
        apart[begun] = np.where(far[begun], t + 1 - starts[begun, None], apart[begun])
    found: Array = np.where(apart == (T - starts)[:, None], np.inf, apart + 1)
    return found.ravel()


def _far(state: State, N: int, tolerance: float) -> Array:
    """Which cold states differ from the true ones by more than the tolerance, (STARTS, N)."""
    found = []
    for part in state:
        blocks = part.reshape(-1, N, part.shape[1]).astype(np.float64)
        largest = np.abs(blocks[0]).max(axis=-1)
        found.append(np.abs(blocks[1:] - blocks[0]).max(axis=-1) > tolerance * largest)
    return np.asarray(np.any(found, axis=0))


def _exponent(model: Network, x: Array) -> float:
    """The largest Lyapunov exponent of any recurrent layer, the mean over these sequences."""
    with own_states(model.layers):
        done = passes.forward(model.layers, x, None, keep="everything")
    nothing = passes.LossGradient(0.0, np.zeros_like(done.output), False)
    traces = passes.backward(model.layers, nothing, done, record=True)[1]
    return max(
        float(np.mean([lyapunov_exponents(jacobians(trace, k))[0] for k in range(len(x))]))
        for trace in traces.values()
    )
