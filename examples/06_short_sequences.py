"""Three short sequences padded with zeros: what does the LSTM learn from them, and from the padding?

    python examples/06_short_sequences.py

The usual first example, twice. First as it is often written: whole numbers padded with zeros at the end, no
mask, three labels, ten epochs, and the accuracy on the three samples it was trained on. Then as it should be:
numbers of a sensible size, a mask, labels that follow from the data, and samples held out.

You should see: without a mask, zeros appended to a sequence changing the answer, and most of the gradient
arising at steps that are padding; with a mask, neither. And an accuracy that means something.
"""

import numpy as np

import minilstm as ml


def model_for(length):
    """The model of both versions."""
    model = ml.Sequential([ml.LSTM(64, input_shape=(length, 1)), ml.Dense(1, activation="sigmoid")], seed=0)
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    return model


def share_at_padding(model, x, y, real, mask):
    """The share of dL/dz, over all steps, that lies at steps of padding."""
    dz = np.abs(model.trace(x, y, mask)["lstm"].dz).sum(axis=-1)  # (B, T)
    return dz[~real].sum() / dz.sum()


print("as it is often written")
tickets = [[7, 2, 5], [3, 8], [6, 1, 9, 4]]
labels = [1, 0, 1]
longest = max(len(ticket) for ticket in tickets)
padded = ml.pad_sequences(tickets, maxlen=longest, padding="post")
model = model_for(longest)
history = model.fit(padded, labels, epochs=10, verbose=0)
more = ml.pad_sequences(tickets, maxlen=longest + 20, padding="post")
change = np.abs(model.predict(more) - model.predict(padded)).max()
real = ml.lengths_to_mask([len(ticket) for ticket in tickets], longest + 20, padding="post")
share = share_at_padding(model, more, labels, real, None)
print(f"  accuracy {history.history['accuracy'][-1]:.2f}, on the 3 samples it was trained on")
print(f"  20 more zeros change the answer by {change:.3f}")
print(f"  and then {share:.0%} of the gradient arises at padding")

print("as it should be")
rng = np.random.default_rng(0)
rides = [rng.normal(size=(length, 1)) for length in rng.integers(2, 12, 400)]  # numbers around 0
goes_up = np.array([ride[-1, 0] > ride[0, 0] for ride in rides], int)  # a label that follows from the data
lengths = [len(ride) for ride in rides]
x = ml.pad_sequences(rides, dtype="float32", padding="post")
mask = ml.lengths_to_mask(lengths, x.shape[1], padding="post")
model = model_for(x.shape[1])
model.fit(x[:300], goes_up[:300], mask=mask[:300], epochs=40, verbose=0)
held_out = model.evaluate(x[300:], goes_up[300:], mask=mask[300:], return_dict=True)["accuracy"]
more = ml.pad_sequences(rides, maxlen=x.shape[1] + 20, dtype="float32", padding="post")
real = ml.lengths_to_mask(lengths, x.shape[1] + 20, padding="post")
change = np.abs(model.predict(more, mask=real) - model.predict(x, mask=mask)).max()
share = share_at_padding(model, more[:64], goes_up[:64], real[:64], real[:64])
guessing = max(goes_up.mean(), 1 - goes_up.mean())
print(f"  accuracy {held_out:.2f}, on 100 samples held out ({guessing:.2f} by guessing)")
print(f"  20 more zeros change the answer by {change:.3f}")
print(f"  and then {share:.0%} of the gradient arises at padding")
