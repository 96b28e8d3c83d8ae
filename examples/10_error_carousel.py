"""What did the cell of 1997 do that today's does not, and what does a forget gate change?

    python examples/10_error_carousel.py [DIR]

The network of 1997 and today's LSTM on one sequence of the adding task, each with its usual first weights.
You should see: under the truncation of 1997 a gradient that is the same at every step, to the last bit (the
constant-error carousel); beside it the full gradient, and what share of it the truncation drops; and today a
gradient that shrinks by the forget gate at every step, faster for a smaller bias. All of it is one figure,
written into DIR (figures).
"""

import sys
from pathlib import Path

import numpy as np

import minilstm as ml
from minilstm.classic import configurations, full, tasks

LENGTH, UNITS = 100, 8
rng = np.random.default_rng(0)
shape = configurations.ADDING
weights = shape.draw(rng, 0.1, (-3, -6))
x, targets = tasks.adding(rng, 1, LENGTH).rows(0, shape.inputs)
lags = np.arange(len(x))

ledgers = {cut: full.ledger(shape, weights, x, targets, truncated=cut) for cut in (True, False)}
lines = {}
for cut, name in ((True, "1997, truncated"), (False, "1997, full gradient")):
    ds = ledgers[cut].from_output + ledgers[cut].carousel  # (T, C)
    lines[name] = np.linalg.norm(ds, axis=1)[::-1]

for bias in (0, 1):
    layer = ml.LSTM(UNITS, input_shape=x.shape, name="rec", backend="numpy")
    model = ml.Sequential([layer, ml.Dense(1, activation="sigmoid")], dtype="float64", seed=0)
    model.compile(loss="mse")
    model.named_weights["rec/bias"][UNITS : 2 * UNITS] = bias
    trace = model.trace(x[None], targets[-1][None])
    lines[f"today, forget bias {bias}"] = trace["rec"].norm("dc")[::-1]

print(f"the gradient of the cell's state, k steps before the end, over that at the end (T = {len(x)})")
for name, norms in lines.items():
    ratios = ", ".join(f"k = {k}: {norms[k] / norms[0]:.2g}" for k in (1, 10, 50, 90))
    print(f"{name:22} {ratios}")
same = np.array_equal(lines["1997, truncated"], np.full(len(x), lines["1997, truncated"][0]))
print("truncated: the same at every step, to the last bit:", same)
share = full.dropped_share(shape, weights, x, targets)
print(f"share of the true gradient of the weights that the truncation drops here: {share:.1%}")

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "figures")
folder.mkdir(parents=True, exist_ok=True)
figure, (ax,) = ml.plots.base.new_figure()
for number, (name, norms) in enumerate(lines.items()):
    ml.plots.base.log_line(ax, lags, norms / norms[0], label=name, **ml.plots.base.series_style(number))
ml.plots.base.name_axes(ax, "steps before the end", "gradient of the cell state, 1 at the end")
ml.plots.base.log_axis(ax)
ml.plots.base.legend(ax)
(folder / "carousel.png").write_bytes(ml.plots.save(figure, "png"))
print("written:", folder / "carousel.png")
