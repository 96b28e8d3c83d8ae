"""When does a network know which digit is being spoken?

    python examples/11_stream_a_digit.py

An LSTM is trained on whole recordings of spoken digits. Then it hears new ones as they come, frame by frame,
through a stream: after each frame it gives the answer that `predict` would give if the recording ended there.

You should see: three recordings, with the digit that the network would say after every fourth frame and how
sure it is of it. It changes its mind while it hears little, and is sure near the end: it was trained on whole
recordings. Last, that the stream's answer after the last frame is that of `predict` over the whole recording,
bit for bit.
"""

import numpy as np

import minilstm as ml

T = 92
data = ml.load_digits()
recordings, labels = data.train
x = ml.pad_sequences(recordings, maxlen=T, dtype="float32", padding="post")
mask = ml.lengths_to_mask([len(recording) for recording in recordings], maxlen=T, padding="post")
model = ml.Sequential([ml.LSTM(64, input_shape=(None, 13)), ml.Dense(10, activation="softmax")], seed=0)
model.compile(ml.Adam(3e-3), loss="sparse_categorical_crossentropy")
model.fit(x, labels, mask=mask, epochs=5, verbose=0)

heard, spoken = data.test
stream = model.stream()
same = True
for digit in (0, 3, 8):
    recording = np.asarray(heard[list(spoken).index(digit)], "float32")
    stream.reset()
    print(f"someone says {digit}, in {len(recording)} frames")
    for t, frame in enumerate(recording, 1):
        (answer,) = stream(frame[None])  # (1, 13) -> (1, 10)
        if t % 4 == 0 or t == len(recording):
            best = int(answer.argmax())
            print(f"  after frame {t:2}: {best}, {answer[best]:4.0%} sure  {'#' * round(40 * answer[best])}")
    same &= bool((answer == model.predict(recording[None])[0]).all())
print(f"the last answers are those of predict over the whole recordings: {same}")
