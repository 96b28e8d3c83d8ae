"""What the last k steps give of a gradient, from one traced batch, without any truncated pass.

Where the loss reads the last step alone, a cut k steps before the end takes away what the steps before it
gave, and changes nothing else. The ledger has what each step t gave, G_t; so the truncated gradient is the
sum of the last k of them, for every k at once.

Random cuts (Tallec and Ollivier 2017): between two steps the gradient is cut with probability p, and where it
is not, multiplied by 1 / (1 - p). Each G_t then comes with a factor (1 - p)^-lag, or not at all, with
probability (1 - p)^lag: its mean is G_t, so the mean over draws is the full gradient. The factors grow with
the lag, and so does the variance, unless G_t falls faster.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import check_room, real_number, whole_number
from minilstm.trace.ledger import Ledger
from minilstm.trace.trace import Trace


@dataclass(frozen=True)
class Suffixes:
    """By k = 1 .. T, of the sum of the contributions that k keeps: (T,) each."""

    cosine: Array  # with the full gradient
    norm_ratio: Array  # to its norm
    cut_share: Array  # of the norms of all contributions, what the steps before give


@dataclass(frozen=True)
class Draws:
    """Gradients with random cuts: their mean, a vector; their standard deviation over the full norm."""

    mean: Array
    deviation: float


def contributions(trace: Trace) -> Iterator[Array]:
    """What each step gives to all weights of the recurrent layers together, from the last step back."""
    ledgers = [layer.ledger() for layer in trace]
    for step in reversed(range(ledgers[0].trace.real.shape[1])):
        yield given_by(ledgers, step)


def given_by(ledgers: Sequence[Ledger], step: int) -> Array:
    """What one step gives to all weights of these layers, one after the other."""
    return np.concatenate([part.ravel() for ledger in ledgers for part in ledger.contribution(step).values()])


def suffixes(trace: Trace) -> Suffixes:
    """What the last k steps give, for every k."""
    full = _sum(contributions(trace))
    total, norms, cosine, ratio = np.zeros_like(full), [], [], []
    for part in contributions(trace):
        total = total + part
        norms.append(np.linalg.norm(part))
        cosine.append(cosine_of(total, full))
        ratio.append(ratio_of(total, full))
    given = np.cumsum(norms)
    return Suffixes(np.array(cosine), np.array(ratio), 1 - given / given[-1] if given[-1] else 0 * given)


def random_cuts(trace: Trace, mean_steps: float, draws: int, rng: np.random.Generator) -> Draws:
    """Gradients cut at random points, on average after `mean_steps` >= 2 steps: unbiased.

    >>> import minilstm as ml
    >>> model = ml.Sequential([ml.LSTM(4, input_shape=(6, 2)), ml.Dense(1)], seed=0)
    >>> model.compile(loss="mse")
    >>> random_cuts(model.trace(np.ones((3, 6, 2)), np.ones(3)), 3, 100, np.random.default_rng(0)).mean.shape
    (112,)
    """
    real_number("mean_steps", mean_steps, 2.0), whole_number("draws", draws, 2)
    check_room(f"a cut for each of draws={draws}", 8 * draws)
    stays = 1 - 1 / mean_steps
    kept = rng.geometric(1 - stays, draws)  # steps until the first cut, counted from the end
    total = mean = np.zeros(0)
    squares, factor = 0.0, 1.0
    for lag, part in enumerate(contributions(trace)):
        if lag == 0:
            total, mean = np.zeros_like(part), np.zeros_like(part)
        total = total + factor * part  # of the draws that come so far
        mean = mean + factor * part * (kept > lag).mean()
        squares += float(total @ total) * float((kept == lag + 1).mean())
        factor /= stays
    squares += float(total @ total) * float((kept > lag + 1).mean())  # those that no cut has reached
    size = float(np.linalg.norm(_sum(contributions(trace))))
    spread = np.sqrt(max(0.0, squares - float(mean @ mean)) * draws / (draws - 1))
    return Draws(mean, float(spread / size) if size else float("nan"))


def _sum(parts: Iterator[Array]) -> Array:
    total = next(parts)
    for part in parts:
        total = total + part
    return total


def cosine_of(one: Array, other: Array) -> float:
    """Of the angle between two gradients; nan where one of them is 0 or not finite."""
    sizes = float(np.abs(one).max()), float(np.abs(other).max())
    if 0 in sizes or not np.isfinite(sizes).all():
        return float("nan")
    a, b = one / sizes[0], other / sizes[1]  # 1e-200 has a square too
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def ratio_of(one: Array, other: Array) -> float:
    """Of their norms; nan where that of the second is 0."""
    size = float(np.abs(other).max())
    return float(np.linalg.norm(one / size) / np.linalg.norm(other / size)) if size else float("nan")
