"""How does the gradient vanish along 200 steps, and what does the forget bias change?

    python examples/03_vanishing.py [figure.png]

You should see: with zero weights the cell's gradient halving every ln(1/2) / ln(sigmoid(b)) steps, to
the digits (1.00, 2.21, 14.3 and 103 steps for forget biases 0, 1, 3 and 5), and how far back one
hundredth of it still reaches; then ordinary random weights, where the gradient also runs through
the recurrent weights: with a large forget bias it does not vanish any more, it grows on its way back.
With a file name, the gradient's norm is drawn.
"""

import sys

import numpy as np

import minilstm as ml

T, D, H = 200, 3, 32
x = np.random.default_rng(0).normal(size=(16, T, D))
y = np.random.default_rng(1).normal(size=(16, 1))


def traced(forget_bias, zero_weights):
    """The recurrent layer's trace for a loss on the last step, in float64."""
    model = ml.Sequential([ml.LSTM(H, input_shape=(T, D), name="rec"), ml.Dense(1)], dtype="float64", seed=0)
    model.compile(loss="mse")
    kernel, recurrent_kernel, bias, *dense = model.get_weights()
    bias[H : 2 * H] = forget_bias
    if zero_weights:
        kernel, recurrent_kernel = 0 * kernel, 0 * recurrent_kernel
        bias[2 * H : 3 * H] = 1e-3  # a small candidate: tanh(c) stays close to c
    model.set_weights([kernel, recurrent_kernel, bias, *dense])
    return model.trace(x, y)["rec"]


print("zero weights\nforget bias   halves every   predicted   |dc_1| / |dc_T|   reach of 1 %")
for forget_bias in (0, 1, 3, 5):
    layer = traced(forget_bias, zero_weights=True)
    norms = layer.norm("dc")
    halves = (T - 1) / np.log2(norms[-1] / norms[0])
    predicted = np.log(0.5) / np.log(1 / (1 + np.exp(-forget_bias)))
    ratio, reach = norms[0] / norms[-1], layer.horizon(0.01, "dc")
    print(f"{forget_bias:11d}   {halves:12.2f}   {predicted:9.2f}   {ratio:15.1e}   {reach:12d}")

print("\nrandom weights\nforget bias   |dc_1| / |dc_T|   reach of 1 %")
drawn = {}
for forget_bias in (0, 1, 3, 5):
    layer = traced(forget_bias, zero_weights=False)
    norms = layer.norm("dc")
    print(f"{forget_bias:11d}   {norms[0] / norms[-1]:15.1e}   {layer.horizon(0.01, 'dc'):12d}")
    drawn[f"forget bias {forget_bias}"] = layer

if len(sys.argv) > 1:
    ax = None
    for label, layer in drawn.items():
        ax = ml.plots.gradient_flow(layer, "dc", ax=ax, label=label)
    ax.legend()
    ax.figure.savefig(sys.argv[1], dpi=150)
    print(f"drawn to {sys.argv[1]}")
