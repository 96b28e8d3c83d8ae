"""What people reported of other libraries, tried on fit, evaluate and predict; see `tests/reports.md`."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest

import minilstm as ml
from minilstm.callbacks import CSVLogger, EarlyStopping, ModelCheckpoint, ReduceLROnPlateau

N, T, D = 12, 5, 2
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(N, T, D)), RNG.integers(0, 2, N).astype(float)
MASK = np.arange(T) < RNG.integers(1, T, N)[:, None]


def small(layers=None, **compiled):
    model = ml.Sequential(layers or [ml.LSTM(3, input_shape=(None, D)), ml.Dense(1)], seed=0, dtype="float64")
    model.compile(ml.SGD(0.0), "mse", **compiled)  # learns nothing: what is told can be computed again
    return model


def fit(model=None, callbacks=(), **options):
    return (model or small()).fit(X, Y, verbose=0, callbacks=list(callbacks), **options)


# ------------------------------------------------------------------------------ masks of validation data


def mse(mask):
    """The loss by hand, from the output for each sample alone, its masked steps cut off."""
    model = small()
    outputs = [float(model.predict(x[None, real])[0, 0]) for x, real in zip(X, mask, strict=True)]
    return np.mean((np.array(outputs) - Y) ** 2)


def test_validation_reads_its_mask():
    """keras#496: by hand, the loss of the real steps; as an argument, or fourth in the tuple."""
    expected, unmasked = mse(MASK), mse(np.ones_like(MASK))
    assert abs(expected - unmasked) > 1e-3
    for given in (
        {"validation_data": (X, Y), "validation_mask": MASK},
        {"validation_data": (X, Y, None, MASK)},
    ):
        found = fit(mask=MASK, **given).history
        np.testing.assert_allclose(found["val_loss"][0], expected, rtol=1e-12)
        np.testing.assert_allclose(found["loss"][0], expected, rtol=1e-12)


def test_a_mask_on_one_side_only_is_refused():
    with pytest.raises(ValueError, match=r"validation_mask must be given where mask is given .*, got None"):
        fit(mask=MASK, validation_data=(X, Y))
    with pytest.raises(ValueError, match=r"validation_mask must be None where mask is None .*, got an array"):
        fit(validation_data=(X, Y), validation_mask=MASK)
    with pytest.raises(ValueError, match="validation_mask must be None where validation_data has a mask"):
        fit(mask=MASK, validation_data=(X, Y, None, MASK), validation_mask=MASK)


def test_validation_split_cuts_the_mask():
    """The last 4 samples with the last 4 rows of the mask: the same as handing them over."""
    split = fit(mask=MASK, validation_split=4 / 12).history
    model = small()
    expected = [float(model.predict(x[None, real])[0, 0]) for x, real in zip(X[8:], MASK[8:], strict=True)]
    np.testing.assert_allclose(split["val_loss"][0], np.mean((np.array(expected) - Y[8:]) ** 2), rtol=1e-12)


def test_a_masked_loss_is_told_by_steps_too():
    """keras#4186: one batch with 3 real steps, one with 9; by hand from the outputs."""
    mask = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1]], bool)
    mask[3, 3] = False
    mask[2] = mask[3] | mask[2]
    x, y = RNG.normal(size=(4, 4, D)), RNG.normal(size=(4, 4, 1))
    model = small([ml.LSTM(3, input_shape=(None, D), return_sequences=True), ml.Dense(1)], metrics=["mae"])
    error = (model.predict(x, mask=mask) - y)[..., 0] ** 2  # (4, 4)
    by_batch = np.mean([error[:2][mask[:2]].mean(), error[2:][mask[2:]].mean()])
    by_step = error[mask].mean()
    assert abs(by_batch - by_step) > 1e-3
    options = {"mask": mask, "batch_size": 2}
    given = {"validation_data": (x, y), "validation_mask": mask, "shuffle": False, "verbose": 0}
    history = model.fit(x, y, **options, **given).history
    assert list(history) == ["loss", "loss_per_step", "mae", "val_loss", "val_loss_per_step", "val_mae"]
    for prefix in ("", "val_"):
        np.testing.assert_allclose(history[f"{prefix}loss"], by_batch, rtol=1e-12)
        np.testing.assert_allclose(history[f"{prefix}loss_per_step"], by_step, rtol=1e-12)
    told = model.evaluate(x, y, return_dict=True, **options)
    np.testing.assert_allclose([told["loss"], told["loss_per_step"]], [by_batch, by_step], rtol=1e-12)
    assert len(model.evaluate(x, y, **options)) == 2  # [loss, mae], as in Keras
    stop = EarlyStopping("val_loss_per_step", patience=1)
    assert len(model.fit(x, y, epochs=5, callbacks=[stop], **options, **given).epoch) == 2
    assert "loss_per_step" not in fit().history


# ------------------------------------------------------------------------------ order of predictions


def buckets(seed=0, shuffle=True):
    sequences = [x[real] for x, real in zip(X, MASK, strict=True)]
    return ml.LengthBuckets(sequences, Y, batch_size=5, seed=seed, shuffle=shuffle, dtype="float64")


@pytest.mark.parametrize("shuffle", [True, False])
def test_predictions_come_in_the_order_of_the_samples(shuffle):
    """keras#5048: whatever order the batches have; and looking leaves the batches as they were."""
    model, data = small(), buckets(shuffle=shuffle)
    expected = np.array([model.predict(x[None, real])[0] for x, real in zip(X, MASK, strict=True)])
    order = np.concatenate(data.indices())
    assert not (order == np.arange(N)).all()
    for _ in range(2):
        np.testing.assert_allclose(model.predict(data), expected, rtol=1e-12)
        model.evaluate(data)
        assert (np.concatenate(data.indices()) == order).all()
    first = model.predict(data, steps=2)  # those samples, in the order of the input
    np.testing.assert_allclose(first, expected[np.sort(np.concatenate(data.indices()[:2]))], rtol=1e-12)


def test_only_training_moves_the_buckets_on():
    data, held_out = buckets(), buckets(1)
    small().fit(data, epochs=3, validation_data=held_out, verbose=0)
    assert (data.epoch, held_out.epoch) == (3, 0)


# ------------------------------------------------------------------------------ before the first batch


def test_a_checkpoint_s_name_is_refused_in_the_constructor():
    """keras-io#1568: a suffix that cannot be written."""
    for name in ("best.h5", "best.weights.h5", "best", "{epoch}"):
        with pytest.raises(
            ValueError, match=rf"filepath must be a name that ends in \.npz .*{re.escape(name)}"
        ):
            ModelCheckpoint(name)


class Reading(ml.Callback):
    def on_train_batch_begin(self, batch, logs):
        raise AssertionError("a batch was begun")


def test_what_no_metric_gives_is_refused_before_the_first_batch(tmp_path):
    refused = [
        (EarlyStopping(), "monitor must be one of loss, loss_per_step, mae, got 'val_loss'"),
        (EarlyStopping("accuracy"), "monitor must be one of loss, loss_per_step, mae, got 'accuracy'"),
        (
            ReduceLROnPlateau("val_mae"),
            "monitor must be one of learning_rate, loss, loss_per_step, mae, got 'val_mae'",
        ),
        (ModelCheckpoint(tmp_path / "m.npz", save_best_only=True), "monitor must be one of"),
        (ModelCheckpoint(tmp_path / "{val_loss:.2f}.npz"), "filepath must be a path with no other names in"),
        (EarlyStopping("loss", mode="auto"), None),
    ]
    for callback, message in refused:
        model = small(metrics=["mae"])
        if message is None:
            fit(model, [callback])
            continue
        with pytest.raises(ValueError, match=message):
            fit(model, [callback, Reading()])
    assert not list(tmp_path.iterdir())


def test_a_callback_s_own_value_can_be_followed():
    class Adds(ml.Callback):
        def on_epoch_end(self, epoch, logs):
            logs["f1"] = -epoch

    history = fit(None, [Adds(), EarlyStopping("f1", mode="max", patience=1)], epochs=5)
    assert history.history["f1"] == [0, -1]


def test_a_log_with_other_columns_is_refused(tmp_path):
    """DeepLabCut PR#3183: two logs in one file, whose columns do not mean the same."""
    path = tmp_path / "log.csv"
    fit(small(metrics=["mae"]), [CSVLogger(path)])
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"filename must be a log with the columns epoch, loss, got .*mae"):
        fit(small(), [CSVLogger(path, append=True), Reading()])
    assert path.read_bytes() == before
    fit(small(metrics=["mae"]), [CSVLogger(path, append=True)])
    assert path.read_text().splitlines()[0] == "epoch,loss,mae"
    assert len(path.read_text().splitlines()) == 3
    with pytest.raises(ValueError, match="filename must be in a folder that exists, got"):
        CSVLogger(tmp_path / "none" / "log.csv")


def test_a_log_loses_no_value_and_no_line(tmp_path):
    """Columns of validation that comes later, "NA" until then; a file whose last line was not ended."""
    path = tmp_path / "log.csv"
    history = fit(callbacks=[CSVLogger(path)], epochs=4, validation_freq=2, validation_data=(X, Y)).history
    head, *rows = list(csv.reader(path.read_text().splitlines()))
    assert head == ["epoch", "loss", "val_loss"]
    assert [row[2] for row in rows[::2]] == ["NA", "NA"]
    assert [float(row[2]) for row in rows[1::2]] == history["val_loss"]
    path.write_text("epoch,loss\n0,1")
    fit(callbacks=[CSVLogger(path, append=True)])
    assert [row[0] for row in csv.reader(path.read_text().splitlines())] == ["epoch", "0", "0"]

    class Adds(ml.Callback):
        def on_epoch_end(self, epoch, logs):
            logs.update({"later": 1.0} if epoch else {})

    with pytest.warns(UserWarning, match="CSVLogger has no column for later: its columns are epoch and what"):
        fit(callbacks=[Adds(), CSVLogger(path)], epochs=3)


def test_an_epoch_without_validation_is_not_the_best(tmp_path):
    saved = []

    class Watched(ModelCheckpoint):
        def on_epoch_end(self, epoch, logs=None):
            before = self.best
            super().on_epoch_end(epoch, logs)
            saved.append((tmp_path / "m.npz").exists() and self.best != before)
            (tmp_path / "m.npz").unlink(missing_ok=True)

    fit(None, [Watched(tmp_path / "m.npz", save_best_only=True)], epochs=4, validation_freq=2,
        validation_data=(X, Y))  # fmt: skip
    assert saved == [False, True, False, False]  # it learns nothing: the second epoch stays the best


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda folder: ModelCheckpoint(f"{folder}/{{epoch:zz}}.npz"), "in braces, as {epoch:02d}, got"),
        (lambda folder: ModelCheckpoint(f"{folder}/{{epoch.npz"), "in braces, as {epoch:02d}, got"),
        (lambda folder: ModelCheckpoint(folder), "filepath must be a file, got the folder"),
        (lambda folder: CSVLogger(folder), "filename must be a file, got the folder"),
    ],
)
def test_paths_that_can_never_be_written_are_refused_in_the_constructor(tmp_path, make, text):
    folder = tmp_path / "a.npz"
    folder.mkdir()
    with pytest.raises(ValueError, match=re.escape(text)):
        make(str(folder))


def test_a_schedule_and_a_callback_that_sets_the_rate_are_refused():
    model = small()
    model.compile(ml.SGD(ml.CosineDecay(0.1, 10)), "mse")
    with pytest.raises(ValueError, match="learning_rate must be a number for ReduceLROnPlateau"):
        fit(model, [ReduceLROnPlateau("loss"), Reading()])


def test_folders_are_made_before_the_first_batch(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        fit(None, [ModelCheckpoint(tmp_path / "file" / "m.npz"), Reading()])


# ------------------------------------------------------------------------------ the table


def test_every_report_names_a_test_that_is_there():
    tests = Path(__file__).resolve().parent.parent
    table = (tests / "reports.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| `([^`|]+)::(test_\w+)` \|$", table, re.MULTILINE)
    assert len(rows) == sum(line.startswith("| ") for line in table.splitlines()) - 1  # all but the head
    for _, _, file, name in rows:
        assert f"def {name}(" in (tests / file).read_text(encoding="utf-8"), (file, name)


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (EarlyStopping("loss", mode="max"), "mode must be 'auto' or 'min' for this metric, got 'max' and mo"),
        (ReduceLROnPlateau("val_mae", mode="max"), "mode must be 'auto' or 'min' for this metric"),
        (EarlyStopping("val_accuracy", mode="min"), "mode must be 'auto' or 'max' for this metric"),
    ],
)
def test_a_mode_that_contradicts_its_metric_is_refused_before_the_first_batch(callback, message):
    with pytest.raises(ValueError, match=message):
        fit(small(metrics=["mae", "accuracy"]), [callback, Reading()], validation_data=(X, Y))


def test_no_two_callbacks_write_one_file_and_none_stands_there_twice(tmp_path):
    path = tmp_path / "log.npz"
    (tmp_path / "other").symlink_to(tmp_path)
    best = ModelCheckpoint(tmp_path / "other" / "log.npz", "loss", mode="max", save_best_only=True)
    stopping = EarlyStopping("loss")
    for given, message in (
        ([CSVLogger(path), CSVLogger(path, ";")], "a file of their own, got CSVLogger and CSVLogger with"),
        ([CSVLogger(path), best], "a file of their own, got CSVLogger and ModelCheckpoint with"),
        ([stopping, stopping], "callbacks must be different objects, got one EarlyStopping twice"),
        ([CSVLogger(tmp_path / "log.csv"), best], "mode must be 'auto' or 'min'"),
    ):
        with pytest.raises(ValueError, match=message):
            fit(small(), [*given, Reading()])
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
