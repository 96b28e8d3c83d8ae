"""How do you look inside a recurrent cell of your own?

    python examples/12_a_cell_of_your_own.py [DIR]

A cell is one step in NumPy: ten lines, below. Its backward step, trace and checks follow from it. Here the
cell is a leaky unit with one gate; its backward step is then written by hand, once right and once wrong, and
at last its gradient is laid beside those of the MGU, from the cells of the package, and of the LSTM.

You should see: the gradient check holds to rounding; the wrong backward is refused, and the gate and the
state are named; untrained, the gradient of the leaky unit comes mostly past the recurrent weights, as the
others' do, and reaches further back. The figure of all three is written into DIR (figures).
"""

import sys
from pathlib import Path

import numpy as np

import minilstm as ml


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def leaky(xw, hu, prev, p):
    (h,) = prev
    z_f, z_g = np.split(xw + hu, 2, axis=-1)
    f, g = sigmoid(z_f), np.tanh(z_g)
    return (f * h + (1 - f) * g,), (f, g)


def leaky_backward(dstate, prev, state, kept, p, slope=lambda f: f * (1 - f)):
    (dh,), (h,), (f, g) = dstate, prev, kept
    dz = np.concatenate([dh * (h - g) * slope(f), dh * (1 - f) * (1 - g * g)], axis=-1)
    return dz, dz, (dh * f,), (dh,), None


def forgetful(*arguments):
    return leaky_backward(*arguments, slope=lambda f: f)  # 1 - f is forgotten


parts = {"gates": ["f", "g"], "bias": {"f": 1.0}}
cell = ml.cell(leaky, **parts)

T, H = 60, 16
rng = np.random.default_rng(0)
x, y = rng.normal(size=(8, T, 3)), rng.normal(size=(8, 1))
traces = {}
layers = {"leaky": ml.RNN(cell, H), "MGU": ml.RNN("mgu", H), "LSTM": ml.LSTM(H, backend="numpy")}
for name, layer in layers.items():
    layer.name = "rec"
    model = ml.Sequential([ml.Input((T, 3)), layer, ml.Dense(1)], dtype="float64", seed=0)
    model.compile(loss="mse")
    report = ml.gradcheck(model, x, y, entries=50)
    print(f"{name}: every gradient holds: {report.ok}, largest error {report.max_error:.0e}")
    traces[name] = model.trace(x, y)["rec"]

ml.cell(leaky, **parts, backward=leaky_backward)
print("a backward by hand: taken")
try:
    ml.cell(leaky, **parts, backward=forgetful)
except ValueError as error:
    print(f"with a mistake: {error}")

for name, rec in traces.items():
    shares = ", ".join(f"{share:.0%} {path}" for path, share in rec.ledger().mean_shares().items())
    print(f"{name}: 1 % of the gradient reaches {rec.horizon(0.01)} of {T} steps; it comes by {shares}")

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "figures")
folder.mkdir(parents=True, exist_ok=True)
ml.plots.side_by_side(traces).savefig(folder / "a_cell_of_your_own.png", dpi=120, bbox_inches="tight")
print(f"written: {folder / 'a_cell_of_your_own.png'}")
