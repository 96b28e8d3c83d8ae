"""`minilstm truncation`: what truncated backpropagation through time costs the gradient, from the shell."""

from __future__ import annotations

import argparse

from minilstm.commands.trace import read_data
from minilstm.datasets import load_digits
from minilstm.foundations import files
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import check_room, fail, in_words, whole_number, wording
from minilstm.interop.loading import load_model
from minilstm.layers import LSTM, Dense, cells_in
from minilstm.model import Sequential
from minilstm.optimizers import Adam
from minilstm.sequences import pad_sequences
from minilstm.study.truncation import TruncationStudy, truncation_study

LENGTH, UNITS, EPOCHS = 40, 32, 3  # of the digits, where no data and no model are given
FIGURES = (".png", ".svg", ".pdf")
SHARES = (0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # of T, where no steps are given


def run(options: argparse.Namespace) -> int:
    """Measure, print the table, write the figure; the exit code."""
    if options.out is not None and options.out.suffix not in FIGURES:
        return fail(wording("--out", f"a file ending in {', '.join(FIGURES)}", str(options.out)), 2)
    try:
        if options.out is not None:
            files.check_folder(options.out.parent)
        found = studied(options)
    except (ValueError, TypeError, OSError) as error:
        return fail(in_words(error), 2)
    print(found)
    if options.out is not None:
        from minilstm import plots

        try:
            files.make_folder(options.out.parent)
            figure = found.plot().get_figure(root=True)
            kind = options.out.suffix.removeprefix(".")
            files.write_bytes(options.out, plots.save(figure, kind))  # type: ignore[arg-type]
        except (OSError, ValueError) as error:
            return fail(in_words(error), 1)
        print(f"written: {options.out}")
    return 0


def studied(options: argparse.Namespace) -> TruncationStudy:
    """The study that was asked for; ValueError, TypeError or OSError where that cannot be meant."""
    if (options.data is None) != (options.weights is None):
        raise ValueError(wording("--data and --weights", "given together", "one of them"))
    if options.rnn is not None and options.weights is None:
        raise ValueError(wording("--rnn", "given with --weights, whose cell it is", "--rnn alone"))
    mask: Array | None = None
    whole_number("--draws", options.draws, 0), whole_number("--seed", options.seed, 0)
    check_room(f"a cut for each of --draws {options.draws}", 8 * options.draws)
    for k in options.steps or ():
        whole_number("--steps", k)
    if options.data is None:
        if options.steps and max(options.steps) > LENGTH:
            expected = f"from 1 to {LENGTH}, the frames of the recordings"
            raise ValueError(wording("--steps", expected, max(options.steps)))
        model, x, y = digits(options.seed)
    else:
        x, targets, mask = read_data(options.data)
        if targets is None:
            raise ValueError(wording("--data", "a file with x and y", "no y"))
        model, y = load_model(options.weights, cells=cells_in(options.rnn, "--rnn")), targets
    kept = slice(options.samples)
    return truncation_study(
        model,
        x[kept],
        y[kept],
        options.steps or sorted({max(1, round(share * x.shape[1])) for share in SHARES}),
        mask=None if mask is None else mask[kept],
        anchor=options.anchor,
        draws=options.draws,
        seed=options.seed,
    )


def digits(seed: int) -> tuple[Sequential, Array, Array]:
    """A small model, trained for a few epochs on the spoken digits, and these."""
    recordings, labels = load_digits().train
    x = pad_sequences(recordings, maxlen=LENGTH, dtype="float32", padding="pre")
    layers = [LSTM(UNITS, input_shape=(LENGTH, x.shape[2])), Dense(10, activation="softmax")]
    model = Sequential(layers, seed=seed)
    model.compile(Adam(3e-3), loss="sparse_categorical_crossentropy")
    model.fit(x, labels, epochs=EPOCHS, verbose=0)
    return model, x, labels
