"""Where is a NaN born when a gradient explodes, and what does clipping save?

    python examples/04_exploding.py [DIR]

You should see: recurrent weights scaled up until the gradient overflows float32 on its way back; fit that
stops, with the time step where it happened and how many steps before that the norm had passed 1e6; and
the same task, with weights for which training fails later, saved by clipping. The page of the overflow
and the figure of the clipping are written into DIR (figures).
"""

import sys
from pathlib import Path

import numpy as np

import minilstm as ml

T = 200
data = ml.adding(T, samples=(256, 32, 32), seed=0)  # add the two marked numbers of a long sequence
x, y = np.stack(data.train.x), data.train.y


def model_with(scale, clip=None):
    """The same model each time, but for the scale of its recurrent weights and the clipping."""
    model = ml.Sequential([ml.LSTM(32, input_shape=(T, 2), name="rec"), ml.Dense(1)], seed=0)
    model.compile(optimizer=ml.SGD(0.3, global_clipnorm=clip), loss="mse")
    model.named_weights["rec/recurrent_kernel"][...] *= scale
    return model


scale = 1
while (origin := model_with(scale).trace(x[:32], y[:32]).first_nonfinite()) is None:
    verdict = model_with(scale).trace(x[:32], y[:32])["rec"].verdict()
    print(f"scale {scale:3d}: {verdict.word}, last / first norm {verdict.ratio:.1e}")
    scale *= 2
print(f"scale {scale:3d}: not finite")
try:
    model_with(scale).fit(x, y, batch_size=32, epochs=1, verbose=0, shuffle=False)
except ml.NonFiniteError as error:
    print(f"NonFiniteError: {error}")

print("\nscale 8, without clipping:")
try:
    model_with(8).fit(x, y, epochs=10, verbose=0)
except ml.NonFiniteError as error:
    print(f"  {str(error).split(':')[0]}: not finite")
tracer = ml.GradientTracer()
losses = model_with(8, clip=1.0).fit(x, y, epochs=10, verbose=0, callbacks=[tracer]).history["loss"]
worst = max(tracer.records, key=lambda record: record.norm)
print(f"with global_clipnorm=1: loss {losses[0]:.3f} to {losses[-1]:.3f}")
print(f"  {tracer.share_clipped:.0%} of {tracer.steps} batches clipped; largest norm {worst.norm:.1e}")
first = model_with(8).trace(x[:32], y[:32]).culprit()
layer, gate, lag, share = worst.culprit()
print(f"  it came from gate {gate} of layer {layer} ({share:.0%} of its square), largest {lag} steps back")
print(f"  of the first batch's, step {first.step} alone made {first.step_share:.0%}, in gate {first.gate}")

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "figures")
folder.mkdir(parents=True, exist_ok=True)
trace = model_with(scale).trace(x[:32], y[:32])
print("written:", ml.plots.trace_report(trace, folder / "exploding.html", title="A gradient that explodes"))
(folder / "clipping.png").write_bytes(ml.plots.save(ml.plots.clipping(tracer).figure, "png"))
