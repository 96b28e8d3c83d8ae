"""Which cell forgets first, the LSTM, the GRU or the simple network, and why?

    python examples/09_which_forgets_first.py

The three on the same task, spoken digits of up to 92 frames behind a mask, before and after five epochs, with
the same trace of the same recordings. `minilstm study --rnn lstm,gru,simple_rnn` draws the curves.

You should see: before training the GRU's gradient fades fastest, since its update gate z stands at 0.5,
where the LSTM's forget gate stands at 0.73 because its bias is 1. Training does not open these gates on
average: their means stay. It spreads them, so that some units hold on at some steps, and it makes the
recurrent weights several times larger; after it the gradient twenty steps back is 20 to 400 times as large.
"""

import numpy as np

import minilstm as ml

T, H, LAG = 92, 64, 20
recordings, labels = ml.load_digits().train
x = ml.pad_sequences(recordings, maxlen=T, dtype="float32", padding="post")
mask = ml.lengths_to_mask([len(recording) for recording in recordings], maxlen=T, padding="post")

columns = "{:10} {:7} {:>18}  {:5} {:>5}  {:13} {:>14}"
print(
    columns.format(
        "cell", "trained", f"|dh_-{LAG}| / |dh_0|", "gate", "mean", "10 % to 90 %", "|U| (largest)"
    )
)
for cell, gate in ((ml.LSTM, "f"), (ml.GRU, "z"), (ml.SimpleRNN, None)):
    layers = [cell(H, input_shape=(T, 13), name="rec"), ml.Dense(10, activation="softmax")]
    model = ml.Sequential(layers, seed=1)
    model.compile(optimizer=ml.Adam(3e-3, clipnorm=1.0), loss="sparse_categorical_crossentropy")
    for when in ("before", "after"):
        rec = model.trace(x[:128], labels[:128], mask=mask[:128])["rec"]
        norms = rec.lag_norm("dh")
        blocks = np.split(rec.weights.U, rec.weights.U.shape[1] // H, axis=1)  # one (H, H) for each gate
        largest = max(np.linalg.norm(block, 2) for block in blocks)
        reach, shown = f"{norms[LAG] / norms[0]:.0e}", ("-", "-", "-")
        if gate is not None:
            values = getattr(rec, gate)[rec.real]
            low, high = np.percentile(values, [10, 90])
            shown = gate, f"{values.mean():.2f}", f"{low:.2f} to {high:.2f}"
        print(columns.format(cell.__name__, when, reach, *shown, f"{largest:.1f}"))
        if when == "before":
            model.fit(x, labels, mask=mask, epochs=5, verbose=0)
