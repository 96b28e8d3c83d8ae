"""Real sequences of different lengths: the Japanese Vowels, read from the files of the package `aeon`.

270 utterances to train and 370 to test, 12 coefficients a step, 7 to 29 steps, 9 speakers; the split is the
one that the published numbers are for. Of the package only the two files are used; it is not imported.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from minilstm import optimizers
from minilstm.classic.row import Band, Record, Row
from minilstm.foundations.arrays import Array
from minilstm.layers import LSTM, Bidirectional, Dense
from minilstm.model import Sequential
from minilstm.sequences import lengths_to_mask, pad_sequences

FOLDER = "datasets/data/JapaneseVowels"


def load(part: str) -> tuple[list[Array], Array]:
    """Sequences (L, 12) and speakers 0 .. 8 of "TRAIN" or "TEST"; ModuleNotFoundError without aeon."""
    found = find_spec("aeon")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("the data are in another package: pip install --no-deps aeon")
    path = Path(next(iter(found.submodule_search_locations))) / FOLDER / f"JapaneseVowels_{part}.ts"
    lines = path.read_text(encoding="utf-8").splitlines()
    sequences, labels = [], []
    for line in lines[lines.index("@data") + 1 :]:
        *dimensions, label = line.split(":")
        sequences.append(np.array([dimension.split(",") for dimension in dimensions], np.float32).T)
        labels.append(int(label) - 1)
    return sequences, np.array(labels)


def vowels(seed: int, *, units: int, epochs: int) -> Record:
    """The share of test utterances given to the right speaker, after the last epoch."""
    model = Sequential(
        [Bidirectional(LSTM(units), input_shape=(None, 12)), Dense(9, activation="softmax")],
        dtype="float32",
        seed=seed,
    )
    model.compile(optimizers.Adam(1e-3, global_clipnorm=1.0), "sparse_categorical_crossentropy", ["accuracy"])
    longest = 29

    def arrays(part: str) -> tuple[Array, Array, Array]:
        sequences, labels = load(part)
        x = pad_sequences(sequences, maxlen=longest, dtype="float32", padding="post")
        mask = lengths_to_mask([len(one) for one in sequences], maxlen=longest, padding="post")
        return x, labels, mask

    x, y, mask = arrays("TRAIN")
    model.fit(x, y, batch_size=27, epochs=epochs, mask=mask, verbose=0)
    x, y, mask = arrays("TEST")
    right = model.predict(x, mask=mask).argmax(axis=1) == y
    return {"value": float(right.mean()), "solved": True}


ROWS = (
    Row(
        name="vowels",
        claim="A masked bidirectional LSTM of 100 units tells nine speakers from one vowel each.",
        source="MathWorks, Sequence Classification Using Deep Learning; a walk-through of 2022",
        published="0.9541",
        run=vowels,
        measured="accuracy on the 370 test utterances",
        bands=(
            Band(
                "mean of at least 0.954, and of at most 0.99",
                "the published number, and the best published ones; nothing is chosen by the test part",
                lambda found: 0.954 <= found[None]["mean"] <= 0.99,
            ),
        ),
        trials=5,
        quick_trials=2,
        settings={"units": 100, "epochs": 50},
        reduced="batches of 27 in random order, not sorted by length",
    ),
)
