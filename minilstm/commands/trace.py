"""`minilstm trace`: where the gradient of one network goes, from the shell."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import minilstm
from minilstm.datasets.arrays import read_npy, read_npz
from minilstm.foundations import files
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import check_room, fail, in_words, printable, wording
from minilstm.foundations.tables import terminal_width, wrapped
from minilstm.interop.loading import load_model
from minilstm.layers import RECURRENT, Dense, Recurrent, cells_in
from minilstm.model import Sequential
from minilstm.trace.trace import Trace

LARGEST = 1e38  # that float32 holds
SAMPLES, FEATURES = 16, 3  # of the data drawn where none is given


def run(options: argparse.Namespace) -> int:
    """Trace, print the verdict, write the page; the exit code."""
    try:
        files.check_folder(options.out)
        trace = traced(options)
    except (ValueError, TypeError, OSError) as error:
        return fail(in_words(error), 2)
    from minilstm.plots.report import facts, layer_words, trace_report

    made = f"weights of {options.weights}" if options.weights else f"seed {options.seed}"
    if options.data is not None:
        made += f", data of {options.data}"
    made = printable(made)
    lines = [line for layer in trace for line in layer_words(layer)]
    lines += [f"traced: {facts(layer)}; {made}; minilstm {minilstm.__version__}" for layer in trace]
    origin = trace.first_nonfinite()
    if origin is not None:
        lines.append(str(origin))
    print(wrapped("\n".join(lines), terminal_width()))
    try:
        files.make_folder(options.out)
        what = dict.fromkeys(f"{layer.cell.name}, {layer.real.shape[1]} steps" for layer in trace)
        title = f"Where the gradient goes: {', '.join([*what, made])}"
        page = trace_report(trace, options.out / "trace.html", title)
        print(f"written: {page}")
    except OSError as error:
        return fail(in_words(error), 1)
    return 0


def traced(options: argparse.Namespace) -> Trace:
    """The trace that was asked for; ValueError, TypeError or OSError where that cannot be meant."""
    rng = np.random.default_rng(options.seed)
    x, y, mask = None, None, None
    if options.rnn is not None and options.weights is None:
        raise ValueError(wording("--rnn", "given with --weights, whose cell it is", "--rnn alone"))
    factors = {"--forget-bias": options.forget_bias, "--recurrent-scale": options.recurrent_scale}
    for option, value in factors.items():
        if value is not None and not abs(value) <= LARGEST:
            raise ValueError(wording(option, f"a number of at most {LARGEST:g} in size", value))
    if options.data is not None:
        x, y, mask = read_data(options.data)
    if options.weights is not None:
        model = load_model(options.weights, cells=cells_in(options.rnn, "--rnn"))
    else:
        features = FEATURES if x is None else x.shape[-1]
        model = built(options, (options.length if x is None else x.shape[1], features))
    if model.loss is None:
        model.compile(loss="mse")
    if x is None:
        length, features = model.sample_shape or (None, None)
        if features is None:
            raise ValueError(wording("--data", "given for this model", "none"))
        length = length or options.length
        tapes = sum(model.memory(SAMPLES, length).values())
        check_room(f"a trace of --length {length}", 8 * SAMPLES * length * features + tapes)
        x = rng.normal(size=(SAMPLES, length, features))
    if y is None:
        y = rng.normal(size=(len(x), *(int(size or x.shape[1]) for size in model.output_shape[1:])))
    return model.trace(x, y, mask)


def built(options: argparse.Namespace, shape: tuple[int, int]) -> Sequential:
    """A model with the cell, forget bias and scale of the recurrent weights that were asked for."""
    check_room(f"a layer of --units {options.units}", 4 * options.units**2)
    layer: Recurrent = RECURRENT[options.cell](options.units, input_shape=shape)
    model = Sequential(
        [layer, Dense(1)], dtype="float64" if options.float64 else "float32", seed=options.seed
    )
    weights = model.named_weights
    weights[f"{layer.name}/recurrent_kernel"][...] *= options.recurrent_scale
    if options.forget_bias is not None:
        if options.cell != "lstm":
            raise ValueError(
                wording("--forget-bias", "left out for a cell without a forget gate", options.cell)
            )
        weights[f"{layer.name}/bias"][options.units : 2 * options.units] = options.forget_bias
    return model


def read_data(path: Path) -> tuple[Array, Array | None, Array | None]:
    """x (B, T, D), and y and mask where they are there: a .npy of x, or a .npz with x, y, mask."""
    data = files.read_bytes(path)
    try:
        arrays = read_npz(data) if data.startswith(b"PK") else {"x": read_npy(data)}
    except ValueError as error:
        raise ValueError(wording("--data", "a .npy or .npz file of arrays", f"{path}: {error}")) from None
    if "x" not in arrays or arrays["x"].ndim != 3:
        got = {name: array.shape for name, array in arrays.items()}
        raise ValueError(wording("--data", "a file with x of shape (batch, time, features)", got))
    return arrays["x"], arrays.get("y"), arrays.get("mask")
