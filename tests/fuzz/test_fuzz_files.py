"""Mutants of Keras's files and of data files: read, or refused with the one type that is promised.

Every case is drawn from its own seed; a seed that found something becomes a case of the tests of that reader.
"""

from __future__ import annotations

import io
import json
import resource
import time

import mutants
import numpy as np
import pytest
from conftest import require

import minilstm as ml
from minilstm.datasets import from_sequences, read_file

pytestmark = [
    pytest.mark.fuzz,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

SECONDS = 1.0  # of processor time that one file may take
MEMORY = 100 * 2**10  # KiB that the process may grow by, over all files


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def keras_files(keras, folder):
    """Two .keras files that hold every kind of layer."""
    L = keras.layers
    inner = L.LSTM(4, return_sequences=True)
    stacks = (
        [L.Input((7, 3)), L.Masking(0.5), L.Bidirectional(inner), L.TimeDistributed(L.Dense(4)), L.GRU(3)],
        [
            L.Input((None,)),
            L.Embedding(9, 4),
            L.Dropout(0.5),
            L.SimpleRNN(3),
            L.Dense(1, kernel_regularizer="l2"),
        ],
    )
    for k, stack in enumerate(stacks):
        keras.Sequential(stack).save(folder / f"{k}.keras")
    return [(folder / f"{k}.keras").read_bytes() for k in range(len(stacks))]


def test_files_of_keras(keras, tmp_path, cases):
    require("h5py")
    whole, path = keras_files(keras, tmp_path), tmp_path / "m.keras"
    read, before, slowest, said = 0, 0, 0.0, set()
    for seed, rng in cases(1000):
        mutate = mutants.of_zip if rng.integers(8) else mutants.of_bytes
        path.write_bytes(mutate(whole[seed % 2], rng))
        start = time.process_time()
        try:
            ml.interop.from_keras(path)
            read += 1
        except ml.WeightsFileError as error:
            said.add((error.path, len(error.reason) <= 300))
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error
        if seed == 20:
            before = peak()  # by now everything is imported
        elif seed > 20:
            slowest = max(slowest, time.process_time() - start)
    assert read > 0
    assert said == {(str(path), True)}
    assert slowest < SECONDS
    assert peak() - before < MEMORY


def data_files():
    """A file of every kind that is read: name -> bytes, and the options."""
    rng = np.random.default_rng(0)
    buffer = io.BytesIO()
    x = np.zeros((20, 5, 2), np.float32)
    lengths = rng.integers(1, 6, 20)
    for row, length in zip(x, lengths, strict=True):
        row[:length] = rng.normal(size=(length, 2))
    np.savez_compressed(buffer, x=x, y=np.arange(20) % 2, lengths=lengths)
    texts = [f"{'word ' * (k % 5)}number{k} it's \u00e9t\u00e9" for k in range(20)]
    lines = [json.dumps({"text": text, "label": "ab"[k % 2], "id": k}) for k, text in enumerate(texts)]
    series = [json.dumps({"x": rng.normal(size=(k % 4 + 1, 2)).tolist(), "y": k / 3}) for k in range(20)]
    wide = ["a,b,c,label"] + [",".join(map(str, [*rng.normal(size=3), k % 2])) for k in range(20)]
    long = ["id,u,v,label"] + [f"s{k // 3},{rng.normal()},{k},{k // 3 % 2}" for k in range(60)]
    return [
        ("a.npz", buffer.getvalue(), {}),
        ("a.jsonl", "\n".join(lines).encode(), {}),
        ("b.jsonl", "\n".join(series).encode(), {}),
        ("a.csv", "\n".join(["text,label", *(f'"{t}",{k % 2}' for k, t in enumerate(texts))]).encode(), {}),
        ("b.csv", "\n".join(wide).encode(), {}),
        ("c.csv", "\n".join(long).encode(), {"group": "id", "order": "v"}),
    ]


def mutant_of_data(name, whole, rng):
    if name.endswith(".npz") and rng.integers(2):
        return mutants.of_zip(whole, rng)
    if name.endswith(".jsonl") and rng.integers(2):
        lines = whole.split(b"\n")
        k = rng.integers(len(lines))
        lines[k] = json.dumps(mutants.of_json(json.loads(lines[k]), rng)).encode()
        return b"\n".join(lines)
    return mutants.of_bytes(whole, rng)


def test_data_files(tmp_path, cases):
    files = data_files()
    for name, whole, options in files:
        (tmp_path / name).write_bytes(whole)
        table = read_file(tmp_path / name, **options)
        from_sequences(table.x, table.y, places=table.places)
    read, before, slowest = 0, peak(), 0.0
    for seed, rng in cases(2000):
        name, whole, options = files[seed % len(files)]
        path = tmp_path / name
        path.write_bytes(mutant_of_data(name, whole, rng))
        start = time.process_time()
        try:
            table = read_file(path, **options)
            data = from_sequences(table.x, table.y, places=table.places)
            json.dumps([data.name, data.description, data.labels]).encode()
            read += 1
        except (ValueError, TypeError):
            pass
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error
        slowest = max(slowest, time.process_time() - start)
    assert read > 0
    assert slowest < SECONDS
    assert peak() - before < MEMORY
