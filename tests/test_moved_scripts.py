"""Scripts in the manner of public tutorials, on the installed Keras and here: only the imports differ.

Each begins from weights of its own and takes the samples in their order, since seeds give other numbers in
other libraries, and leaves what it found in `result`.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
from tolerances import check

BOUND = 5e-5  # relative: some tens of float32 steps of Adam and RMSprop, which magnify rounding
pytestmark = [
    pytest.mark.peer,
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]
BEGIN = """
import numpy as np
rng = np.random.default_rng(0)
def begin(model):
    own = np.random.default_rng(1)
    model.set_weights([own.normal(0, 0.3, np.shape(w)) for w in model.get_weights()])
    return model
"""
SCRIPTS = {
    "sentiment": """
from keras.models import Sequential
from keras.layers import Bidirectional, Dense, Embedding, Input, LSTM
from keras.utils import pad_sequences
texts = [rng.integers(1, 20, rng.integers(2, 7)).tolist() for _ in range(12)]
x, y = pad_sequences(texts, maxlen=6, padding="post"), np.arange(12) % 2
model = begin(Sequential([
    Input((6,)), Embedding(20, 4, mask_zero=True), Bidirectional(LSTM(3)), Dense(1, activation="sigmoid")]))
model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
history = model.fit(x, y, epochs=3, batch_size=4, shuffle=False, validation_split=0.25, verbose=0)
result = [history.history[key] for key in ("loss", "accuracy", "val_loss")] + [model.predict(x, verbose=0)]
""",
    "forecast": """
from keras.models import Sequential
from keras.layers import Dense, Input, LSTM
series = np.sin(np.arange(40) / 3) * 5 + 20
low, high = series.min(), series.max()
scaled = (series - low) / (high - low)
x = np.stack([scaled[i:i + 6] for i in range(34)])[..., None]
y = scaled[6:]
model = begin(Sequential([Input((6, 1)), LSTM(4, return_sequences=True), LSTM(3), Dense(1)]))
model.compile(optimizer="rmsprop", loss="mean_squared_error")
history = model.fit(x[:24], y[:24], epochs=3, batch_size=8, shuffle=False, validation_data=(x[24:], y[24:]),
                    verbose=0)
result = [history.history["val_loss"], model.predict(x, verbose=0)[:, 0] * (high - low) + low]
""",
    "tagging": """
from keras.models import Sequential
from keras.layers import Dense, Embedding, Input, LSTM, TimeDistributed
x = rng.integers(0, 9, (10, 5))
model = begin(Sequential([
    Input((5,)), Embedding(9, 3), LSTM(4, return_sequences=True),
    TimeDistributed(Dense(3, activation="softmax"))]))
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(x, x % 3, epochs=3, batch_size=5, shuffle=False, verbose=0)
result = [history.history["loss"], history.history["accuracy"], model.predict(x, verbose=0)]
""",
    "stateful": """
from keras.models import Sequential
from keras.layers import Dense, Input, LSTM
model = begin(Sequential([Input(batch_shape=(2, 1, 1)), LSTM(3, stateful=True), Dense(1)]))
x = rng.normal(size=(2, 5, 1))
first = [model.predict(x[:, t:t + 1], verbose=0) for t in range(5)]
model.layers[0].reset_state()
again = [model.predict(x[:, t:t + 1], verbose=0) for t in range(5)]
result = first + again
""",
    "autoencoder": """
from keras.models import Sequential
from keras.layers import Dense, Input, LayerNormalization, LSTM, RepeatVector, TimeDistributed
x = rng.normal(size=(9, 4, 2)).astype("float32")
model = begin(Sequential([
    Input((4, 2)), LSTM(3), RepeatVector(4), LSTM(3, return_sequences=True), LayerNormalization(),
    TimeDistributed(Dense(2))]))
model.compile(optimizer="adam", loss="mse")
history = model.fit(x, x, epochs=4, batch_size=3, shuffle=False, verbose=0)
result = [history.history["loss"], np.mean((model.predict(x, verbose=0) - x) ** 2, axis=(1, 2))]
""",
    "imbalanced": """
from keras.models import Sequential
from keras.layers import Dense, GRU, Input
x, y = rng.normal(size=(20, 4, 2)), (np.arange(20) % 5 == 0).astype("float32")
model = begin(Sequential([Input((4, 2)), GRU(3), Dense(1, activation="sigmoid")]))
model.compile(optimizer="adam", loss="binary_crossentropy")
history = model.fit(x, y, epochs=3, batch_size=5, shuffle=False, class_weight={0: 0.625, 1: 2.5}, verbose=0)
result = [history.history["loss"], model.predict(x, verbose=0), [model.evaluate(x, y, verbose=0)]]
""",
    "own callback": """
from keras.models import Sequential
from keras.layers import Dense, Input, SimpleRNN
from keras.callbacks import Callback, EarlyStopping
class Watch(Callback):
    def __init__(self):
        super().__init__()
        self.batches, self.losses = 0, []
    def on_batch_end(self, batch, logs=None):
        self.batches += 1
    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        self.losses.append(logs["loss"])
        if len(self.losses) == 3:
            self.model.stop_training = True
x, y = rng.normal(size=(12, 3, 2)), rng.normal(size=12)
model = begin(Sequential([Input((3, 2)), SimpleRNN(3), Dense(1)]))
model.compile(optimizer="sgd", loss="mse")
watch = Watch()
model.fit(x, y, epochs=9, batch_size=4, shuffle=False, verbose=0,
          callbacks=[watch, EarlyStopping("loss", patience=5)])
result = [watch.losses, [watch.batches], model.predict(x, verbose=0)]
""",
    "save and reload": """
import json
from keras.models import Sequential
from keras.layers import Dense, Input, LSTM
x, y = rng.normal(size=(8, 3, 2)), rng.normal(size=8)
model = begin(Sequential([Input((3, 2)), LSTM(3, name="rec", kernel_regularizer="l2"), Dense(1)]))
model.compile(optimizer="adam", loss="mse")
model.fit(x, y, epochs=2, shuffle=False, verbose=0)
kept = json.dumps(model.get_config()), [w.tolist() for w in model.get_weights()]
again = Sequential.from_config(json.loads(kept[0]))
again.set_weights([np.array(w) for w in kept[1]])
again.get_layer("rec").trainable = False
again.compile(optimizer="adam", loss="mse")
history = again.fit(x, y, epochs=2, shuffle=False, verbose=0)
result = [history.history["loss"], again.predict(x, verbose=0), [len(again.trainable_weights)]]
""",
    "rate": """
from keras.models import Sequential
from keras.layers import Dense, Input, LSTM
from keras.callbacks import LearningRateScheduler, ReduceLROnPlateau
from keras.optimizers import SGD
x, y = rng.normal(size=(10, 3, 2)), rng.normal(size=10)
found = []
for callback in (LearningRateScheduler(lambda epoch, rate: rate * 0.5),
                 ReduceLROnPlateau("loss", factor=0.1, patience=1, min_delta=10.0)):
    model = begin(Sequential([Input((3, 2)), LSTM(3), Dense(1)]))
    model.compile(optimizer=SGD(learning_rate=0.2, momentum=0.5), loss="mse")
    history = model.fit(x, y, epochs=4, batch_size=5, shuffle=False, callbacks=[callback], verbose=0)
    found += [history.history["learning_rate"], history.history["loss"]]
result = found
""",
    "k-fold": """
from sklearn.model_selection import KFold
from keras.models import Sequential
from keras.layers import Dense, Input, LSTM, Masking
x, y = rng.normal(size=(15, 4, 2)), np.arange(15) % 3
x[::4, 2:] = 0
scores = []
for train, test in KFold(3).split(x):
    model = begin(Sequential([Input((4, 2)), Masking(), LSTM(3), Dense(3, activation="softmax")]))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x[train], y[train], epochs=2, shuffle=False, verbose=0)
    scores.append(model.evaluate(x[test], y[test], verbose=0))
result = scores
""",
}


def run(source: str) -> list[np.ndarray]:
    names: dict[str, object] = {}
    exec(compile(BEGIN + source, "<script>", "exec"), names)
    return [np.asarray(part, np.float64) for part in names["result"]]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_with_other_imports_gives_the_same(keras, name):
    pytest.importorskip("sklearn")
    source = SCRIPTS[name]
    moved, count = re.subn(r"from keras\.\w+ import", "from minilstm import", source)
    assert count >= 2
    assert "keras" not in moved
    for ours, theirs in zip(run(moved), run(source), strict=True):
        check(ours, theirs, BOUND, what=name)
