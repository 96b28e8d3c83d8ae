"""Why does the LSTM not forget, and when does it?

    python examples/03_vanishing.py [DIR]

You should see: at zero weights, the LSTM's gradient halving every 1.00, 2.21, 14.3 and 103 steps for forget
biases 0, 1, 3 and 5, as its forget gates alone say, and the simple network with no gradient at all
beyond the last step; with ordinary weights, the route by which the gradient arrives. These five networks
are written as one page into DIR (figures), which begins with a comparison.
"""

import sys
from pathlib import Path

import numpy as np

import minilstm as ml
from minilstm.trace.horizon import side_by_side

T, D, H = 200, 3, 32
rng = np.random.default_rng(0)
x, y = rng.normal(size=(16, T, D)), rng.normal(size=(16, 1))


def traced(cell, forget_bias=None, scale=1.0):
    """One pass through a new layer whose kernels are `scale` times the usual ones, in float64."""
    layer = cell(
        H, input_shape=(T, D), name="rec", backend="numpy"
    )  # ten passes: compiling would take longer
    model = ml.Sequential([layer, ml.Dense(1)], dtype="float64", seed=0)
    model.compile(loss="mse")
    weights = model.named_weights
    for name in ("rec/kernel", "rec/recurrent_kernel"):
        weights[name][...] *= scale
    if forget_bias is not None:
        weights["rec/bias"][H : 2 * H] = forget_bias
        weights["rec/bias"][2 * H : 3 * H] = 1e-3 * (
            scale == 0
        )  # a small candidate: tanh(c) stays close to c
    return model.trace(x, y)


print("zero weights")
rows = {f"forget bias {bias}": traced(ml.LSTM, bias, 0.0)["rec"] for bias in (0, 1, 3, 5)}
print(side_by_side(rows, "dc"))
simple = traced(ml.SimpleRNN, scale=0.0)["rec"]
print(f"simple network: the gradient reaches {simple.horizon()} step of {T}")

print("\nordinary weights, the state's gradient")
pages = {"simple": traced(ml.SimpleRNN)}
pages |= {f"forget bias {bias}": traced(ml.LSTM, bias) for bias in (0, 1, 3, 5)}
for label, trace in pages.items():
    layer = trace["rec"]
    routes = ", ".join(f"{share:.0%} {route}" for route, share in layer.ledger().mean_shares().items())
    print(f"{label:14}  {layer.verdict(f'd{layer.states[-1]}').word:10}  arrives by: {routes}")

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "figures")
folder.mkdir(parents=True, exist_ok=True)
page = ml.plots.trace_report(pages, folder / "vanishing.html", "Which network forgets, and why")
print("written:", page)
