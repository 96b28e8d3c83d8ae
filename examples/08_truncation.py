"""Sequences that are too long: which part should be kept?

    python examples/08_truncation.py

The usual third example, twice. First as it is often written: long rising sequences, all the same, half of
them with the other label, cut to their first 100 steps. Then as it should be: recordings whose label stands
near their end, scaled, cut to their first and to their last steps, and accuracy on samples held out.

You should see: in the first version a loss that stays at ln 2 = 0.693, since the labels contradict each
other; one answer for all; a third of the gates saturated by the large inputs, and next to no gradient at an
input. In the second, the head of the sequences at chance, and the tail, which is as short, near 1.
"""

import numpy as np

import minilstm as ml

KEPT = 100


def train(x, y, epochs, units=64):
    """The model of both versions, trained."""
    model = ml.Sequential([ml.LSTM(units, input_shape=(KEPT, 1)), ml.Dense(1, activation="sigmoid")], seed=0)
    model.compile(optimizer=ml.Adam(0.005), loss="binary_crossentropy", metrics=["accuracy"])
    return model, model.fit(x, y, epochs=epochs, verbose=0).history


def open_gates(model, x, y):
    """The share of the gates that are not saturated, and |dL/dx| of the step before the last."""
    trace = model.trace(x, y)["lstm"]
    gates = np.stack([trace.i, trace.f, trace.o])
    return ((gates > 0.01) & (gates < 0.99)).mean(), trace.norm("dx")[-2]


print("as it is often written")
ramps = [list(range(500)) for _ in range(60)]
labels = [0] * 30 + [1] * 30
head = np.array([ramp[:KEPT] for ramp in ramps]).reshape(-1, KEPT, 1)
model, history = train(head, np.array(labels), 10)
share, gradient = open_gates(model, head, labels)
print(f"  loss per epoch: {' '.join(f'{loss:.3f}' for loss in history['loss'])}")
print(f"  different answers: {len(np.unique(model.predict(head)))}")
print(f"  gates not saturated: {share:.0%}; gradient that reaches an input: {gradient:.0e}")

print("as it should be")
rng = np.random.default_rng(0)
recordings = 0.3 * rng.normal(size=(400, 500, 1))
labels = rng.integers(0, 2, 400)
for recording, label in zip(recordings, labels, strict=True):
    start = rng.integers(440, 480)  # a bump near the end: up or down
    recording[start : start + 15, 0] += 1.5 if label else -1.5
recordings = (recordings / recordings.std()).astype("float32")
for name, truncating in (("first", "post"), ("last", "pre")):
    x = ml.pad_sequences(list(recordings), maxlen=KEPT, dtype="float32", truncating=truncating)
    model, _ = train(x[:300], labels[:300], 8, units=32)
    accuracy = model.evaluate(x[300:], labels[300:])[1]
    share, gradient = open_gates(model, x[300:], labels[300:])
    print(f"  {name} {KEPT} of 500 steps: accuracy held out {accuracy:.2f}", end="; ")
    print(f"gates not saturated: {share:.0%}; gradient that reaches an input: {gradient:.0e}")
