"""Rows that are exact, or follow from theorems: they need no training.

The bands of this file are those of before the first full run.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from minilstm.bptt import segments
from minilstm.bptt.activations import sigmoid
from minilstm.bptt.cell import Weights
from minilstm.bptt.engine import PLAIN
from minilstm.bptt.lstm import LSTMCell
from minilstm.checkpoints.schedule import with_states
from minilstm.checkpoints.slots import Plan
from minilstm.classic import configurations, full, network, tasks
from minilstm.classic.row import Band, Record, Row
from minilstm.foundations.arrays import Array

EXACT = "it is exact"


def carousel(seed: int, *, length: int) -> Record:
    """The least and the largest d s(t) / d s(0) of any cell and step; beside it the share that is dropped."""
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    shape = configurations.ADDING
    weights = shape.draw(rng, 0.1, (-3.0, -6.0))
    x, targets = tasks.adding(rng, 1, length).rows(0, shape.inputs)
    done = list(network.steps(shape, weights, x))
    step = 1e-30
    found = []
    for cell in range(shape.cells):
        s = done[0].s + 0j
        s[cell] += step * 1j
        for row, before in zip(x[1:], done[:-1], strict=True):
            s = network.step(shape, weights, row, before.y, s).s
            found.append(float(s.imag[cell] / step))
    dropped = full.dropped_share(shape, weights, x, targets)
    exact = min(found) == max(found) == 1
    return {"value": max(found, key=lambda d: abs(d - 1)), "solved": exact, "dropped": dropped}


def jacobian_products(
    rng: np.random.Generator, nets: int, units: int, steps: int, top: float, slope: float
) -> Array:
    """Norms of products of Jacobians over eta^k, (steps, nets), of random networks x = U s(x_prev) + b.

    The largest singular value of each U is from [0.5, top) / slope; s is tanh (slope 1) or logistic (1/4).
    """
    U = rng.normal(size=(nets, units, units))
    U *= (rng.uniform(0.5, top, nets) / slope / np.linalg.norm(U, 2, axis=(1, 2)))[:, None, None]
    b, x = rng.normal(size=(2, nets, units))
    product = np.broadcast_to(np.eye(units), U.shape)
    eta = slope * np.linalg.norm(U, 2, axis=(1, 2))
    ratios = []
    for k in range(1, steps + 1):
        y = np.tanh(x) if slope == 1 else sigmoid(x)
        derivative = 1 - y * y if slope == 1 else y * (1 - y)
        product = (U * derivative[:, None, :]) @ product
        x = np.einsum("nij,nj->ni", U, y) + b
        ratios.append(np.linalg.norm(product, 2, axis=(1, 2)) / eta**k)
    return np.array(ratios)


def pascanu_bound(seed: int, *, nets: int, units: int, steps: int) -> Record:
    """How often the bound is exceeded by more than rounding; and products beside the thresholds."""
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    over = sum(
        int((jacobian_products(rng, nets, units, steps, 0.99, slope) > 1 + 1e-12).sum())
        for slope in (1.0, 0.25)
    )
    orthogonal = np.linalg.qr(rng.normal(size=(units, units)))[0]
    sides = []
    for slope in (1.0, 0.25):  # at x = 0, where s has its largest slope
        for factor in (0.99, 1.01):
            product = np.linalg.matrix_power(slope * (factor / slope) * orthogonal, 1000)
            sides.append(float(np.linalg.norm(product, 2)))
    right = sides[0] < 1e-4 and sides[2] < 1e-4 and sides[1] > 1e4 and sides[3] > 1e4
    return {"value": over, "solved": over == 0 and right, "sides": sides}


def half_lives(seed: int, *, length: int) -> Record:
    """The largest relative error of dL/dc_0 against sigmoid(b)^T; all other weights are 0."""
    worst = 0.0
    for bias in (0.0, 1.0, 2.0, 3.0, 5.0):
        b = np.array([0.0, bias, 0.0, 0.0])
        weights = Weights(np.zeros((1, 4)), np.zeros((1, 4)), b)
        tape = segments.forward(LSTMCell(), weights, np.zeros((length, 1, 1)))
        ends = np.zeros((1, 1)), np.ones((1, 1))
        found = segments.backward(weights, tape, None, ends).dstate[1].item()
        expected = (1 / (1 + math.exp(-bias))) ** length
        worst = max(worst, abs(found / expected - 1))
    return {"value": worst, "solved": worst < 1e-12}


def checkpoints(seed: int, *, steps: int, slots: int) -> Record:
    """Forward steps that a gradient from so many records takes; and whether it is the full one."""
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    H, taken = 4, 0
    weights = Weights(rng.normal(size=(1, 4 * H)), rng.normal(size=(H, 4 * H)) / 2, np.zeros(4 * H))
    x, ends = rng.normal(size=(steps, 1, 1)), (np.ones((1, H)), np.ones((1, H)))

    def forward_segment(packed: Any, x: Array, *others: Any) -> Any:
        nonlocal taken
        taken += len(x)
        return PLAIN.forward_segment(packed, x, *others)

    def gradients(plan: Plan | None) -> tuple[Array, ...]:
        engine = replace(PLAIN, forward_segment=forward_segment)
        tape = segments.forward(LSTMCell(), weights, x, engine=engine, plan=plan)
        found = segments.backward(weights, tape, None, ends)
        return np.asarray(found.dx), *found.dstate

    full, taken = gradients(None), 0
    found = gradients(Plan(steps, slots, "records"))
    equal = all(np.array_equal(one, other) for one, other in zip(found, full, strict=True))
    return {"value": taken, "solved": equal, "advances": with_states(steps, slots)}


ROWS = (
    Row(
        name="carousel",
        claim="Under the truncation the error of a cell neither grows nor shrinks: d s(t) / d s(t-k) = 1.",
        source="Hochreiter and Schmidhuber 1997, appendix A.2",
        published="1, exactly",
        run=carousel,
        measured="the derivative furthest from 1",
        bands=(Band("exactly 1 in every cell at every step", EXACT, lambda found: found[None]["mean"] == 1),),
        trials=3,
        settings={"length": 100},
    ),
    Row(
        name="pascanu-bound",
        claim="Products of k Jacobians stay below eta^k; 1 (tanh) and 4 (logistic) divide vanishing from "
        "exploding.",
        source="Pascanu, Mikolov and Bengio 2013, equation 7 and section 2.1",
        published="never exceeded; thresholds 1 and 4 on the largest singular value",
        run=pascanu_bound,
        measured="networks and lags beyond the bound, of all",
        bands=(
            Band("the bound is never exceeded", "it is a theorem", lambda found: found[None]["mean"] == 0),
            Band(
                "1,000 steps at 0.99 times the threshold shrink, at 1.01 grow, ten-thousandfold",
                "0.99^1000 is 4e-5, 1.01^1000 is 2e4",
                lambda found: found[None]["solved"] == found[None]["trials"],
            ),
        ),
        settings={"nets": 10_000, "units": 8, "steps": 20},
    ),
    Row(
        name="half-lives",
        claim="A forget gate with bias b alone keeps sigmoid(b)^T of the gradient: half of it for 1.00, "
        "2.21, 5.46, 14.3, 103 steps with b = 0, 1, 2, 3, 5.",
        source="Follows from Gers, Schmidhuber and Cummins 2000; Jozefowicz, Zaremba and Sutskever 2015",
        published="sigmoid(b)^T",
        run=half_lives,
        measured="largest relative error",
        bands=(
            Band(
                "equal to 1e-12",
                "40 products, each rounded once, err by 40 times 1e-16 at most",
                lambda found: found[None]["solved"] == found[None]["trials"],
            ),
        ),
        settings={"length": 40},
    ),
    Row(
        name="checkpointing",
        claim="50 slots of whole records give the gradient of 1,000 steps with 1,950 forward steps: 5 % of "
        "the memory for a third more time; slots of states need 1,948 advances and 1,000 recorded steps.",
        source="Gruslys et al. 2016; Griewank and Walther 2000",
        published="95 % less memory, one third more time",
        run=checkpoints,
        measured="forward steps",
        bands=(
            Band("1,950 forward steps", EXACT, lambda found: found[None]["mean"] == 1950),
            Band(
                "the same gradient bit for bit, and 1,948 advances with slots of states",
                "it runs the same steps; " + EXACT,
                lambda found: all(
                    one["solved"] and one["advances"] == 1948 for one in found[None]["records"]
                ),
            ),
        ),
        settings={"steps": 1000, "slots": 50},
    ),
)
