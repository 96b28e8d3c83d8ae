"""How does a gradient explode, what does that do to training, and does clipping help?

    python examples/04_exploding.py

You should see: with recurrent weights 8 times their usual size, the gradient growing by many orders of
magnitude from the last step back to the first; training that takes steps of that size running into
NaN, with the place named and the weights before it kept; and the same run, with the gradient's norm
clipped to 1, staying finite while its loss falls.
"""

import numpy as np

import minilstm as ml

T = 200
data = ml.adding(T, samples=(256, 32, 32), seed=1)  # add the two marked numbers of a long sequence
x, y = np.stack(data.train.x), data.train.y


def model_with(clip):
    """The same model each time, but for the clipping."""
    model = ml.Sequential([ml.LSTM(32, input_shape=(T, 2), name="rec"), ml.Dense(1)], seed=0)
    model.compile(optimizer=ml.SGD(0.3, global_clipnorm=clip), loss="mse")
    kernel, recurrent_kernel, *rest = model.get_weights()
    model.set_weights([kernel, 8 * recurrent_kernel, *rest])
    return model


layer = model_with(None).trace(x[:32], y[:32])["rec"]
print("steps before the end   norm of dL/dh")
for lag, norm in list(enumerate(layer.lag_norm("dh")))[::33]:
    print(f"{lag:20d}   {norm:13.1e}")

print("\nwithout clipping:")
model = model_with(None)
try:
    model.fit(x, y, epochs=10, verbose=0)
except ml.NonFiniteError as error:
    print(f"  NonFiniteError: {error}")
print(f"  weights finite: {all(np.isfinite(weight).all() for weight in model.get_weights())}")

print("\nwith global_clipnorm=1:")
losses = model_with(1.0).fit(x, y, epochs=10, verbose=0).history["loss"]
print("  loss per epoch: " + " ".join(f"{loss:.3f}" for loss in losses))
