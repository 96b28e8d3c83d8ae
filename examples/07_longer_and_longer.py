"""Accuracy against the length of the sequences: what does such a table say?

    python examples/07_longer_and_longer.py

The usual second example, twice. First as it is often written: random numbers between 0 and 1, random labels,
`pad_sequences` with its default dtype, no mask, accuracy on the training data. Then as it should be: float32,
a mask, a label that stands at the first step, and accuracy on samples held out.

You should see: in the first version an input of which nothing is left but zeros, one and the same answer
for every sample, a gradient of the input weights that is exactly 0, and an "accuracy" that is the share of
the more frequent label, whatever the length. In the second an accuracy that is earned at length 8 and is a
guess at 40, where next to none of the gradient arrives at the first step when the training begins.
"""

import warnings

import numpy as np

import minilstm as ml

LENGTHS = (8, 20, 40)


def generate(samples, longest, rng):
    """Sequences of 10 numbers per step, of random lengths."""
    return [rng.random((rng.integers(2, longest + 1), 10)) for _ in range(samples)]


def new_model(longest):
    """The model of both versions."""
    model = ml.Sequential([ml.LSTM(64, input_shape=(longest, 10)), ml.Dense(1, activation="sigmoid")], seed=0)
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    return model


print("as it is often written")
print("longest   accuracy   other label   inputs not 0   different answers   gradient of the input weights")
for longest in LENGTHS:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 200)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.PaddingWarning)  # it says what is wrong here
        x = ml.pad_sequences(generate(200, longest, rng), maxlen=longest, padding="post")
    model = new_model(longest)
    history = model.fit(x, y, epochs=5, verbose=0).history
    answers = len(np.unique(model.predict(x)))
    gradient = np.abs(model.trace(x, y).grads["lstm/kernel"]).max()
    share = min(y.mean(), 1 - y.mean())
    print(
        f"{longest:7d}   {history['accuracy'][-1]:8.2f}   {share:11.2f}   {np.count_nonzero(x):12d}", end=""
    )
    print(f"   {answers:17d}   {gradient:29.1f}")

print("\nas it should be: which of two numbers of the first step is larger?")
print("longest   accuracy held out   by guessing   before training: |dL/dh| at the first step, by the last")
for longest in LENGTHS:
    rng = np.random.default_rng(0)
    data = generate(600, longest, rng)
    y = np.array([steps[0, 0] > steps[0, 1] for steps in data], int)
    x = ml.pad_sequences(data, maxlen=longest, dtype="float32", padding="post")
    mask = ml.lengths_to_mask([len(steps) for steps in data], longest, padding="post")
    model, whole = new_model(longest), mask.all(axis=1)  # the longest sequences
    norm = model.trace(x[whole], y[whole], mask[whole])["lstm"].norm("dh")
    model.fit(x[:400], y[:400], mask=mask[:400], epochs=15, verbose=0)
    accuracy = model.evaluate(x[400:], y[400:], mask=mask[400:])[1]
    guess = max(y[400:].mean(), 1 - y[400:].mean())
    print(f"{longest:7d}   {accuracy:17.2f}   {guess:11.2f}   {norm[0] / norm[-1]:53.0e}")
