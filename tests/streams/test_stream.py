"""A stream gives what `predict` gives, in whatever pieces the steps come."""

from __future__ import annotations

import copy
import pickle
import threading
import tracemalloc

import numpy as np
import pytest
from tolerances import PARITY, check

import minilstm as ml

LAYERS = {"lstm": ml.LSTM, "gru": ml.GRU, "simple_rnn": ml.SimpleRNN}


def many(kind="lstm", backend="numba", D=3, H=5, seed=0, **options):
    """One layer that gives every step, and a Dense above it."""
    layer = LAYERS[kind](H, return_sequences=True, backend=backend, input_shape=(None, D), **options)
    return ml.Sequential([layer, ml.Dense(2, activation="softmax")], seed=seed)


def inputs(B, T, D=3, dtype="float32"):
    return np.random.default_rng(0).normal(size=(B, T, D)).astype(dtype)


def same(found, expected, backend="numba"):
    if backend == "numba":
        np.testing.assert_array_equal(found, expected)
    else:
        check(found, expected, PARITY["float32"])


@pytest.mark.parametrize("backend", ["numba", "numpy"])
@pytest.mark.parametrize("kind", LAYERS)
def test_steps_and_pieces_are_what_predict_gives(kind, backend):
    model, x = many(kind, backend), inputs(3, 11)
    expected, stream = model.predict(x), model.stream(3)
    steps = [stream(x[:, t])[:, None] for t in range(4)]
    pieces = [stream(x[:, 4:5]), stream(x[:, 5:9]), stream(x[:, 9:])]
    same(np.concatenate(steps + pieces, axis=1), expected, backend)


def test_a_model_that_gives_its_last_step_gives_it_at_every_step():
    model = ml.Sequential(
        [
            ml.LSTM(5, return_sequences=True, input_shape=(None, 3)),
            ml.TimeDistributed(ml.Dense(4, activation="relu")),
            ml.Dropout(0.5),
            ml.GRU(4),
            ml.Dense(1, activation="sigmoid"),
        ],
        seed=0,
    )
    x, stream = inputs(2, 7), model.stream(2)
    for t in range(4):
        same(stream(x[:, t]), model.predict(x[:, : t + 1]))
    same(stream(x[:, 4:])[:, -1], model.predict(x))


def test_ids_of_an_embedding():
    model = ml.Sequential([ml.Embedding(9, 3, mask_zero=True), ml.LSTM(4), ml.Dense(2)], seed=0)
    ids = np.random.default_rng(0).integers(0, 9, (4, 8))
    expected, stream = model.predict(ids), model.stream(4)
    stream(ids[:, :5])
    for t in (5, 6, 7):
        found = stream(ids[:, t])
    same(found, expected)
    with pytest.raises(ValueError, match=r"x must be of ids 0 \.\. 8, got 9"):
        stream([1, 2, 9, 0])


def test_more_steps_than_there_is_room_for(monkeypatch):
    from minilstm.compiled import stepping

    monkeypatch.setattr(stepping, "ROOM", 12)
    model, x = many(), inputs(4, 11)  # three steps at a time
    mask = np.random.default_rng(1).random((4, 11)) < 0.6
    same(model.stream(4)(x), model.predict(x))
    same(model.stream(4)(x, mask), model.predict(x, mask=mask))


def test_many_streams_in_chunks_on_threads(monkeypatch):
    from minilstm.compiled import stepping

    monkeypatch.setattr(stepping, "ROWS", 4)
    monkeypatch.setattr(stepping, "PARALLEL_WORK", 1)
    model, x = many(), inputs(10, 6)
    stream = model.stream(10)
    found = [stream(x[:, :4]), stream(x[:, 4])[:, None], stream(x[:, 5:])]
    same(np.concatenate(found, axis=1), model.predict(x))


@pytest.mark.parametrize("backend", ["numba", "numpy"])
@pytest.mark.parametrize("zeros", [False, True])
def test_masks(backend, zeros):
    model, x = many(backend=backend, zero_output_for_mask=zeros), inputs(3, 9)
    mask = np.random.default_rng(2).random((3, 9)) < 0.5
    dirty = np.where(mask[..., None], x, np.nan).astype("float32")
    stream = model.stream(3)
    found = [stream(dirty[:, t], mask[:, t])[:, None] for t in range(5)]
    found.append(stream(dirty[:, 5:], mask[:, 5:]))
    same(np.concatenate(found, axis=1), model.predict(x, mask=mask), backend)


def test_a_masking_layer():
    model = ml.Sequential([ml.Masking(input_shape=(None, 3)), ml.LSTM(4), ml.Dense(1)], seed=0)
    x = inputs(2, 6)
    x[0, 2:4] = 0
    stream = model.stream(2)
    for t in range(6):
        same(stream(x[:, t]), model.predict(x[:, : t + 1]))


def test_rows_come_and_go():
    model, x = many(), inputs(3, 8)
    stream = model.stream(3)
    stream(x[:, :4])
    stream.reset([1])
    same(stream(x[:, 4:])[1], model.predict(x[1:2, 4:])[0])
    for rows in (2, slice(1, 3), np.array([False, True, True]), []):
        stream.reset(rows)
    same(stream(x[:, :2])[1:], model.predict(x[1:, :2]))
    stream.reset()
    same(stream(x), model.predict(x))


def test_the_state_is_that_of_the_layer_and_may_be_put():
    model, x = many(), inputs(2, 6)
    stream, other = model.stream(2), model.stream(2)
    stream(x[:, :4])
    layer = model.layers[0]
    layer.return_state = True
    _, h, c = layer(x[:, :4])
    assert list(stream.state) == ["lstm"]
    np.testing.assert_array_equal(stream.state["lstm"], (h, c))
    other.state = stream.state
    same(other(x[:, 4:]), stream(x[:, 4:]))


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_a_copy_goes_its_own_way(backend):
    model, x = many(backend=backend), inputs(2, 6)
    stream = model.stream(2)
    stream(x[:, :3])
    branch = stream.copy()
    branch(x[:, :3])
    branch.reset(0)
    same(stream(x[:, 3:]), model.predict(x)[:, 3:], backend)


def test_later_training_does_not_reach_a_stream():
    model, x = many(), inputs(2, 5)
    before, stream = model.predict(x), model.stream(2)
    model.compile("sgd", "mse")
    model.train_on_batch(x, np.zeros((2, 5, 2)))
    same(stream(x), before)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_a_file_goes_on_with_the_same_bits(tmp_path, suffix):
    path, x = tmp_path / f"state{suffix}", inputs(2, 6)
    model = ml.Sequential([ml.LSTM(4, return_sequences=True, input_shape=(None, 3)), ml.GRU(3)], seed=0)
    stream = model.stream(2)
    stream(x[:, :4])
    stream.save(path)
    model.save(tmp_path / "model.npz")
    other = ml.load_model(tmp_path / "model.npz").stream(2)
    other.load(path)
    same(other(x[:, 4:]), stream(x[:, 4:]))


def test_files_of_others_change_nothing(tmp_path):
    model, x = many(), inputs(2, 3)
    stream = model.stream(2)
    stream(x)
    before = stream.state["lstm"]
    refused = {
        "units.npz": many(H=6).stream(2),
        "weights.npz": many(seed=1).stream(2),
        "batch.npz": model.stream(3),
    }
    for name, other in refused.items():
        other.save(tmp_path / name)
        with pytest.raises(ml.WeightsFileError, match=r"of another model|holds 3 streams"):
            stream.load(tmp_path / name)
    model.save(tmp_path / "model.npz")
    with pytest.raises(ml.WeightsFileError, match="holds no stream"):
        stream.load(tmp_path / "model.npz")
    with pytest.raises(ml.WeightsFileError):
        ml.load_model(tmp_path / "batch.npz")
    data = bytearray((tmp_path / "model.npz").read_bytes())
    (tmp_path / "cut.npz").write_bytes(data[:100])
    with pytest.raises(ml.WeightsFileError):
        stream.load(tmp_path / "cut.npz")
    with pytest.raises(ValueError, match="path must be"):
        stream.save(tmp_path / "state.txt")
    np.testing.assert_array_equal(stream.state["lstm"], before)


@pytest.mark.parametrize("backend", ["numba", "numpy"])
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_nan_loses_its_own_stream_and_tells_so(kind, backend, bad, tmp_path):
    model, x = many(kind, backend), inputs(3, 6)
    expected, stream = model.predict(x), model.stream(3)
    stream(x[:, :2])
    dirty = x[:, 2].copy()
    dirty[1, 0] = bad
    with pytest.warns(RuntimeWarning, match=r"NaN or Inf in 1 of 3 streams, .*\[1\]"):
        found = stream(dirty)
    assert np.isnan(found[1]).all()
    assert stream.lost.tolist() == [False, True, False]
    rest = stream(x[:, 3:])  # told once
    assert np.isnan(rest[1]).all()
    same(rest[::2], expected[::2, 3:], backend)
    stream.save(tmp_path / "lost.npz")
    other = model.stream(3)
    other.load(tmp_path / "lost.npz")
    assert other.lost.tolist() == [False, True, False]
    stream.reset(1)
    same(stream(x)[1], expected[1], backend)
    assert not stream.lost.any()


def test_bad_input_is_refused_and_leaves_the_stream_as_it_was(tmp_path):
    model, x = many(), inputs(2, 4)
    stream = model.stream(2)
    stream(x)
    before = stream.state["lstm"]
    step = r"x must be a step of shape \(2, 3\) or a piece of shape \(2, T, 3\), got shape "
    for bad in (x[:, 0, :2], x[:1, 0], x[..., :2], x[:, :0], x[0, 0], x[None]):
        with pytest.raises(ValueError, match=step):
            stream(bad)
    with pytest.raises(TypeError, match="x must be of the model's dtype float32, got float64"):
        stream(x[:, 0].astype("float64"))
    with pytest.raises(TypeError, match="real numbers"):
        stream(x[:, 0] + 1j)
    with pytest.raises(ValueError, match=r"mask must be of shape \(2,\)"):
        stream(x[:, 0], [True])
    for rows in (2, [-1], [0, 5]):
        with pytest.raises(ValueError, match=r"rows must be numbers 0 \.\. 1"):
            stream.reset(rows)
    with pytest.raises(TypeError, match="rows must be"):
        stream.reset([True])
    with pytest.raises(ValueError, match="state must be a dict by the layers"):
        stream.state = {"other": before}
    with pytest.raises(ValueError, match=r"initial_state of layer 'lstm' must be \[h, c\] of shape \(2, 5\)"):
        stream.state = {"lstm": (np.zeros((2, 4)), np.zeros((2, 4)))}
    np.testing.assert_array_equal(stream.state["lstm"], before)
    assert stream(x[:, 0].tolist()).shape == (2, 2)  # a list has no dtype


def test_what_needs_the_whole_sequence_is_refused_by_name():
    def stream_of(*layers):
        ml.Sequential(layers, seed=0).stream()

    first = {"return_sequences": True, "input_shape": (None, 3)}
    both = ml.Bidirectional(ml.LSTM(4), input_shape=(None, 3), name="both")
    with pytest.raises(ValueError, match=r"layer 'both' must be one that needs no step .* Bidirectional"):
        stream_of(both)
    with pytest.raises(ValueError, match=r"'mean' must be .* GlobalAveragePooling1D"):
        stream_of(ml.LSTM(4, **first), ml.GlobalAveragePooling1D(name="mean"))
    with pytest.raises(ValueError, match=r"'back' must be .* go_backwards"):
        stream_of(ml.LSTM(4, go_backwards=True, name="back", **first))
    with pytest.raises(ValueError, match="model must be with at least one recurrent layer"):
        stream_of(ml.Dense(4, input_shape=(None, 3)))
    with pytest.raises(RuntimeError, match="must be built"):
        stream_of(ml.LSTM(4))
    with pytest.raises(ValueError, match="batch must be a whole number"):
        many().stream(0)


def test_two_threads():
    model, x = many(), inputs(1, 4)
    stream = model.stream()
    stream(x)
    found: list[object] = []

    def use(one):
        try:
            found.append(one(x))
        except RuntimeError as error:
            found.append(str(error))

    branch = stream.copy()
    for one in (stream, branch):
        thread = threading.Thread(target=use, args=(one,))
        thread.start()
        thread.join()
    assert "stream must be used from one thread" in found[0]
    same(found[1], stream(x))


def test_no_memory_grows():
    stream, x = many().stream(2), inputs(2, 1)[:, 0]
    for _ in range(10):
        stream(x)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(3000):
        stream(x)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after - before < 2000


def test_a_deep_copy_is_a_copy_and_a_pickle_is_refused():
    stream, x = many().stream(), inputs(1, 3)
    stream(x[:, 0])
    for other in (copy.copy(stream), copy.deepcopy({"stream": stream})["stream"]):
        np.testing.assert_array_equal(other(x[:, 1]), stream.copy()(x[:, 1]))
    with pytest.raises(TypeError, match=r"stream must be saved by save\(path\).*got a pickle"):
        pickle.dumps(stream)


def test_ragged_rows_are_named():
    with pytest.raises(TypeError, match=r"rows must be numbers 0 .. 1, a slice, .*got \[\[0\], \[1, 0\]\]"):
        many().stream(2).reset([[0], [1, 0]])
