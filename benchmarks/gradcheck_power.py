"""How many planted bugs does a gradient check catch? How exact and how fast is it?

    python benchmarks/gradcheck_power.py power        # minilstm beside torch.autograd.gradcheck
    python benchmarks/gradcheck_power.py accuracy     # errors against length, down to gradients of 1e-240
    python benchmarks/gradcheck_power.py speed        # seconds, on one core

The bugs are those of tests/bug_zoo.py, each in a hand-written backward pass. torch.autograd.gradcheck
gets the same functions in a custom autograd Function, float64, all its arguments at their defaults
(eps 1e-6, atol 1e-5, rtol 1e-3), and may look at the last state and at a random sum of all outputs.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import bug_zoo

import minilstm as ml
from minilstm.bptt import segments
from minilstm.bptt.cell import Weights
from minilstm.compiled.engines import engine_of
from minilstm.gradient_check.student.cases import CELLS, draw, spec_of

BATCH, FEATURES, UNITS = 2, 2, 3


def torch_accepts(functions: dict, cell: str, length: int, mask: np.ndarray | None) -> bool:
    """Whether torch.autograd.gradcheck at its defaults finds nothing wrong."""
    import torch

    spec = spec_of(cell)
    case = draw(spec, (BATCH, length, FEATURES, UNITS), mask, 0, False)
    weigh = case.losses[0].dh
    masked = () if mask is None else (mask,)
    n = len(case.states)

    class Sequence(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *tensors):
            arrays = [tensor.detach().numpy() for tensor in tensors]
            ctx.arrays = arrays
            # the bugs are in backward: this package's compiled forward pass gives the same values, and sooner
            outputs = np.empty((length, BATCH, UNITS))
            real = None if mask is None else mask.T
            tape = segments.forward(
                CELLS[cell],
                Weights(*arrays[1 + n :]),
                arrays[0].transpose(1, 0, 2),
                real,
                tuple(arrays[1 : 1 + n]),
                engine=engine_of("numba"),
                keep="outputs",
                outputs=outputs,
            )
            h, last = outputs.transpose(1, 0, 2), tape.last_state
            outputs = (h[:, -1].copy(), *last[1:], np.array((weigh * h).sum()))
            return tuple(torch.from_numpy(np.array(output)) for output in outputs)

        @staticmethod
        def backward(ctx, *grads):
            d = [grad.numpy() for grad in grads]
            cache = functions["forward"](*ctx.arrays, *masked)[-1]
            dh = d[-1] * weigh
            dh[:, -1] += d[0]
            found = functions["backward"](dh, *d[1:-1], cache)
            return tuple(torch.from_numpy(np.ascontiguousarray(part)) for part in found)

    inputs = [torch.tensor(a, requires_grad=True) for a in (case.x, *case.states, *case.weights.values())]
    return torch.autograd.gradcheck(Sequence.apply, inputs, raise_exception=False)


def power(lengths: list[int]) -> None:
    """A table: each bug, and who catches it."""
    heads = [f"{who} {length}" for length in lengths for who in ("minilstm", "torch")]
    print(f"{'bug':<40}  " + "  ".join(f"{head:<12}" for head in heads) + "  likely cause")
    totals = dict.fromkeys(heads, 0)
    named = dict.fromkeys(lengths, 0)
    correct = [
        bug_zoo.Bug(f"(correct {c})", "import numpy", "import numpy", cell=c) for c in bug_zoo.REFERENCES
    ]
    for bug in [*correct, *bug_zoo.BUGS]:
        functions, cells = bug_zoo.functions(bug.source), []
        for length in lengths:
            mask = bug_zoo.mask_for(bug, BATCH, length)
            report = ml.check_sequence(
                functions["forward"], functions["backward"], bug.cell, length=length, batch=BATCH, mask=mask
            )
            caught = not report.ok, not torch_accepts(functions, bug.cell, length, mask)
            hit = bug.names_cause is not None and any(bug.names_cause in cause for cause in report.causes)
            for who, found in zip(("minilstm", "torch"), caught, strict=True):
                cells.append("caught" if found else "-")
                totals[f"{who} {length}"] += found and bug not in correct
            named[length] += hit
        cause = report.causes[0] if report.causes else ""
        print(f"{bug.name:<40}  " + "  ".join(f"{cell:<12}" for cell in cells) + f"  {cause}", flush=True)
    print(f"{f'caught of {len(bug_zoo.BUGS)}':<40}  " + "  ".join(f"{totals[head]:<12}" for head in heads))
    print("cause named: " + ", ".join(f"{count} at T = {length}" for length, count in named.items()))


def network(length: int, units: int, cell: type = ml.LSTM, batch: int = 2, features: int = 3):
    """A model in float64 with a batch and an initial state."""
    rng = np.random.default_rng(0)
    layer = cell(units, input_shape=(length, features), name="rec")
    model = ml.Sequential([layer, ml.Dense(1)], dtype="float64", seed=0)
    model.compile(loss="mse")
    state = {"rec": [rng.uniform(-0.9, 0.9, (batch, units)) for _ in layer.cell.states]}
    return model, rng.normal(size=(batch, length, features)), rng.normal(size=batch), state


def accuracy(lengths: list[int]) -> None:
    """Errors of every cell's gradients at each length."""
    print("cell         T     checked       max error  dx_0 elementwise  norms of dh_t  smallest |dx_0|")
    for cell in (ml.LSTM, ml.GRU, ml.SimpleRNN):
        for length in lengths:
            model, x, y, state = network(length, 4, cell)
            if cell is ml.LSTM:
                model.layers[0].params["bias"][4:8] = 0.0  # no help from the forget gate
            report = ml.gradcheck(model, x, y, initial_state=state)
            counted = sum(one.counted for one in report.comparisons)
            size = sum(one.numeric.size for one in report.comparisons)
            dx = np.abs(report["dx"].numeric[:, 0]).min()
            numbers = report.max_error, report["dx"].elementwise(0), report["rec/dh"].norm_error().max()
            errors = "  ".join(f"{number:.1e}" for number in numbers)
            print(
                f"{cell.__name__:<10} {length:>5}  {counted:>6} of {size:<7}  {errors}  {dx:.1e}", flush=True
            )


def speed() -> None:
    """Seconds of a full and of a sampled check."""
    warm, x, y, _ = network(2, 2)
    ml.gradcheck(warm, x, y)
    for units, length, limit in ((8, 50, 10), (64, 200, 30)):
        model, x, y, state = network(length, units)
        start = time.perf_counter()
        report = ml.gradcheck(model, x, y, initial_state=state)
        took = time.perf_counter() - start
        assert report.ok
        counted = sum(one.counted for one in report.comparisons)
        size = sum(one.numeric.size for one in report.comparisons)
        print(
            f"H={units}, D=3, B=2, T={length}: {counted} of {size} entries in {took:.1f} s (limit {limit} s)"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=("power", "accuracy", "speed"))
    parser.add_argument("--lengths", help="for power (40,200) and accuracy (1,2,5,50,200,1000)")
    options = parser.parse_args()
    default = {"power": "40,200", "accuracy": "1,2,5,50,200,1000", "speed": "1"}[options.part]
    lengths = [int(word) for word in (options.lengths or default).split(",")]
    if options.part == "power":
        power(lengths)
    elif options.part == "accuracy":
        accuracy(lengths)
    else:
        speed()


if __name__ == "__main__":
    main()
