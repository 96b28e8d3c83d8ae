"""Mutants of files and state dicts: read, or refused with the one type that is promised.

Every case is drawn from its own seed; a seed that found something becomes a case of the tests of that reader.
"""

from __future__ import annotations

import copy
import gzip
import io
import json
import resource
import time
from importlib.util import find_spec

import mutants
import numpy as np
import pandas as pd
import pytest
from conftest import require

import minilstm as ml
from minilstm.datasets import from_sequences, from_series, read_file, read_series

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
    walks = [
        "@problemName walks",
        "@timeStamps false",
        "@univariate false",
        "@dimensions 2",
        "@equalLength false",
    ]
    walks += ["@classLabel true even odd", "@data"]
    walks += [f"{k},{k / 3},1.5:0.5,{-k},2:{('even', 'odd')[k % 2]}" for k in range(20)]
    arff = ["@relation r", "@attribute a numeric", "@attribute label {u,v}", "@data"]
    arff += [f"{k / 7},{'uv'[k % 2]}" for k in range(20)]
    files = [
        ("a.npz", buffer.getvalue(), {}),
        ("a.jsonl", "\n".join(lines).encode(), {}),
        ("b.jsonl", "\n".join(series).encode(), {}),
        ("a.csv", "\n".join(["text,label", *(f'"{t}",{k % 2}' for k, t in enumerate(texts))]).encode(), {}),
        ("b.csv", "\n".join(wide).encode(), {}),
        ("c.csv", "\n".join(long).encode(), {"group": "id", "order": "v"}),
        (
            "d.tsv",
            "\n".join(long).replace(",", "\t").encode(),
            {"group": "id", "order": "lines", "bad_rows": "skip"},
        ),
        ("e.csv.gz", gzip.compress("\n".join(long).encode(), mtime=0), {"group": "id", "order": "v"}),
        ("a.ts", "\n".join(walks).encode(), {}),
        ("a.arff", "\n".join(arff).encode(), {}),
    ]
    if find_spec("pyarrow") is not None:
        for kind in ("parquet", "feather"):
            buffer, table = io.BytesIO(), pd.read_csv(io.StringIO("\n".join(long)))
            getattr(table, f"to_{kind}")(buffer)
            files.append((f"a.{kind}", buffer.getvalue(), {"group": "id", "order": "v"}))
    return files


def mutant_of_data(name, whole, rng):
    if name.endswith(".npz") and rng.integers(2):
        return mutants.of_zip(whole, rng)
    if name.endswith(".gz") and rng.integers(2):
        return gzip.compress(mutants.of_bytes(gzip.decompress(whole), rng))
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
        except (ValueError, TypeError, OSError):
            pass
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error
        slowest = max(slowest, time.process_time() - start)
    assert read > 0
    assert slowest < SECONDS
    assert peak() - before < MEMORY


def test_files_of_series(tmp_path, cases):
    """For forecasting: the file, what is asked of it, and how the windows are cut."""
    rows = ["t,day,u,v,shop"] + [
        f"{k},2024-01-{k % 28 + 1:02d},{k % 7},{k / 3},{'ab'[k % 2]}" for k in range(60)
    ]
    whole = {"a.csv": "\n".join(rows).encode(), "a.tsv": "\n".join(rows).replace(",", "\t").encode()}
    options = {"target": "u", "features": ["v"], "group": "shop", "order": "t", "bad_rows": "skip"}
    windows = {"steps": 4, "horizon": 2, "bad_rows": "skip", "seed": 0}
    read = 0
    for seed, rng in cases(1000):
        name = ("a.csv", "a.tsv")[seed % 2]
        (tmp_path / name).write_bytes(mutants.of_bytes(whole[name], rng) if seed % 4 else whole[name])
        asked, cut = (
            found if isinstance(found := mutants.of_json(one, rng), dict) and seed % every == 0 else dict(one)
            for one, every in ((options, 3), (windows, 5))
        )
        for left_out in rng.choice(list(options)[1:], rng.integers(3), replace=False):
            asked = {key: value for key, value in asked.items() if key != left_out}
        try:
            found = read_series(tmp_path / name, **asked)
            data = from_series(found.series, columns=found.columns, **cut)
            json.dumps([data.name, data.description]).encode()
            read += 1
        except (ValueError, TypeError):
            continue
        except Exception as error:
            raise AssertionError(f"seed {seed}: {asked} {cut} {error!r}") from error
    assert read > 0


def small():
    layers = [ml.Masking(0.5, input_shape=(None, 2)), ml.LSTM(3, backend="numpy"), ml.Dense(1)]
    model = ml.Sequential(layers, seed=0)
    model.compile(ml.Adam(ml.CosineDecay(0.1, 5)), ml.Huber(2.0), metrics=["mae"])
    model.fit(np.ones((4, 3, 2)), np.ones(4), verbose=0)
    return model


def test_files_of_models(tmp_path, cases):
    """Our own, in both formats: read, or refused as one error; weights change whole or not at all."""
    model, whole = small(), {}
    for suffix in ("npz", "safetensors"):
        model.save(tmp_path / f"m.{suffix}")
        whole[suffix] = (tmp_path / f"m.{suffix}").read_bytes()
    other, before, slowest, said = small(), model.get_weights(), 0.0, set()
    for seed, rng in cases(1000):
        suffix = ("npz", "safetensors")[seed % 2]
        structured = mutants.of_zip if suffix == "npz" else mutants.of_safetensors
        path = tmp_path / f"x.{suffix}"
        path.write_bytes((structured if rng.integers(3) else mutants.of_bytes)(whole[suffix], rng))
        start = time.process_time()
        for load in (ml.load_model, other.load_weights):
            try:
                found = load(path) or other
                assert [np.isfinite(weight).all() for weight in found.get_weights()] == [True] * 5
                other.set_weights(before)
            except ml.WeightsFileError as error:
                said.add(error.path)
            except Exception as error:
                raise AssertionError(f"seed {seed}: {error!r}") from error
        slowest = max(slowest, time.process_time() - start)
        for weight, old in zip(other.get_weights(), before, strict=True):
            np.testing.assert_array_equal(weight, old)
    assert said == {str(tmp_path / "x.npz"), str(tmp_path / "x.safetensors")}
    assert slowest < SECONDS


STATE_VALUES = (
    *mutants.VALUES, np.ones(3), np.ones((16, 3), complex), np.full((16, 3), np.nan), np.ones((16, 3), ">f4"),
    np.ma.ones((16, 3)), np.ones((3, 16)), np.array("x"), np.ones((16, 3), np.float16), [[1.0], [1.0, 2.0]],
)  # fmt: skip
STATE_NAMES = ("weight_ih_l0_reverse", "WEIGHT_IH_L0", "", 3, None, "weight_ih_l1", "rnn.weight_hh_l0")


def test_state_dicts(cases):
    """Of PyTorch's names with anything in them: taken whole, or one sentence and nothing changed."""
    layer = ml.LSTM(4, backend="numpy")
    layer(np.ones((1, 2, 3)))
    good, taken = ml.interop.to_torch_state_dict(layer), 0
    for seed, rng in cases(1000):
        state, before = copy.deepcopy(good), layer.get_weights()
        for _ in range(rng.integers(1, 3)):
            name = (*good, *STATE_NAMES)[rng.integers(len(good) + len(STATE_NAMES))]
            match rng.integers(3):
                case 0:
                    state.pop(name, None)
                case 1:
                    state[name] = good["bias_ih_l0"]
                case _:
                    state[name] = STATE_VALUES[rng.integers(len(STATE_VALUES))]
        try:
            ml.interop.from_torch_state_dict(state, layer)
            taken += 1
        except (ValueError, TypeError):
            for weight, old in zip(layer.get_weights(), before, strict=True):
                np.testing.assert_array_equal(weight, old)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error
        assert all(np.isfinite(weight).all() for weight in layer.get_weights())
    assert taken > 0
