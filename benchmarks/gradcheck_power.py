"""How many planted bugs does a gradient check catch? How exact and how fast is it?

    python benchmarks/gradcheck_power.py power        # planted bugs, beside torch.autograd.gradcheck
    python benchmarks/gradcheck_power.py styles       # right and wrong code in the styles that people write
    python benchmarks/gradcheck_power.py accuracy     # errors against length, down to gradients of 1e-240
    python benchmarks/gradcheck_power.py speed        # seconds, on one core

The bugs are those of tests/bug_zoo.py, each in a hand-written backward pass. torch.autograd.gradcheck
gets the same functions in a custom autograd Function, float64, all its arguments at their defaults
(eps 1e-6, atol 1e-5, rtol 1e-3), and may look at the last state and at a random sum of all outputs.
`styles` runs tests/{right,mixed,layout,keeping}_zoo.py; torch is given each code through the same adapters,
and every output.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import bug_zoo
import keeping_zoo
import layout_zoo
import mixed_zoo
import right_zoo

import minilstm as ml
from minilstm.bptt import segments
from minilstm.bptt.cell import Weights
from minilstm.compiled.engines import engine_of
from minilstm.gradient_check.student import signature
from minilstm.gradient_check.student.cases import CELLS, draw, spec_of
from minilstm.gradient_check.student.exceptions import FunctionError
from minilstm.gradient_check.student.functions import Functions, Told

BATCH, FEATURES, UNITS = 2, 2, 3
ZOOS = right_zoo, mixed_zoo, layout_zoo, keeping_zoo


def torch_accepts(functions: dict, cell: str, length: int, mask: np.ndarray | None) -> bool:
    """Whether torch.autograd.gradcheck at its defaults finds nothing wrong."""
    import torch

    spec = spec_of(cell)
    case = draw(spec, (BATCH, length, FEATURES, UNITS), mask, 0, False)
    weigh = case.losses["h"]
    states = [case.values[name] for name in spec.states]
    weights = [case.values[name] for name in spec.weights]
    masked = () if mask is None else (mask,)
    n = len(spec.states)

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

    inputs = [torch.tensor(a, requires_grad=True) for a in (case.values["x"], *states, *weights)]
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


def torch_accepts_style(code: right_zoo.Right) -> str:
    """Whether torch.autograd.gradcheck at its defaults finds nothing wrong, "-" where it cannot be asked."""
    import torch

    def called(step: bool, forward, backward, cell="lstm", *, length: int = 40, features: int = 2, mask=None):
        sizes = 1 if signature.said(forward, "single") else 4, length, features, 3
        case = draw(spec_of(cell), sizes, mask, 0, step, bool(signature.said(forward, "ids")))
        case.values.update(signature.said(forward, "values", {}))
        return Functions(forward, backward, case, Told()), case

    functions, case = code.run(lambda *a, **k: called(True, *a, **k), lambda *a, **k: called(False, *a, **k))
    outputs = [n for n in ", ".join(functions.incoming).split(", ") if n not in ("cache", "zero")]
    names = [name for name in functions.judged if not (name == "x" and functions.ids)]

    class Code(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *tensors):
            ctx.values = {
                **case.values,
                **{n: t.detach().numpy() for n, t in zip(names, tensors, strict=True)},
            }
            found = functions.forward(ctx.values)
            return tuple(torch.from_numpy(np.array(found[name], dtype=float)) for name in outputs)

        @staticmethod
        def backward(ctx, *grads):
            losses = {name: grad.numpy().copy() for name, grad in zip(outputs, grads, strict=True)}
            found = functions.gradients(ctx.values, losses)
            return tuple(torch.from_numpy(np.array(found[name], dtype=float)) for name in names)

    inputs = [torch.tensor(case.values[name], requires_grad=True) for name in names]
    return "accepted" if torch.autograd.gradcheck(Code.apply, inputs, raise_exception=False) else "refused"


def styles() -> None:
    """Two tables: right code, and wrong code, in the styles that people write."""
    for title, rows in (
        ("right code", [(code, None) for zoo in ZOOS for code in zoo.RIGHT]),
        ("wrong code", [(wrong.code, wrong.words) for zoo in ZOOS for wrong in zoo.WRONG]),
    ):
        print(f"{title:<42}{'cell':<12}{'kind':<10}{'minilstm':<10}{'torch':<10}likely cause, or hygiene")
        accepted = {"minilstm": 0, "torch": 0}
        named = misnamed = 0
        for code, words in rows:
            report = code.report()
            try:
                torch_says = torch_accepts_style(code)
            except FunctionError:
                torch_says = "-"
            accepted["minilstm"] += report.ok
            accepted["torch"] += torch_says == "accepted"
            causes = [cause for cause in report.causes if not cause.startswith("perhaps")]
            right = words is not None and len(causes) == 1 and words in causes[0]
            named += right
            misnamed += bool(causes) and not right
            told = "; ".join(causes or report.causes[:1] or report.hygiene[:1])
            ours = "accepted" if report.ok else "refused"
            print(
                f"{code.style[:41]:<42}{code.cell:<12}{code.kind:<10}{ours:<10}{torch_says:<10}{told}",
                flush=True,
            )
        print(f"accepted of {len(rows)}: {accepted}; named rightly {named}, wrongly {misnamed}\n")


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
    parser.add_argument("part", choices=("power", "styles", "accuracy", "speed"))
    parser.add_argument("--lengths", help="for power (40,200) and accuracy (1,2,5,50,200,1000)")
    options = parser.parse_args()
    default = {"power": "40,200", "accuracy": "1,2,5,50,200,1000"}.get(options.part, "1")
    lengths = [int(word) for word in (options.lengths or default).split(",")]
    if options.part == "power":
        power(lengths)
    elif options.part == "accuracy":
        accuracy(lengths)
    elif options.part == "styles":
        styles()
    else:
        speed()


if __name__ == "__main__":
    main()
