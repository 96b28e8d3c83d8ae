"""What do padding and a mask do to the answer of an LSTM?

    python examples/01_pad_and_mask.py

You should see: pad_sequences warning that its default dtype cuts fractions to 0; how much of a padded
array is padding; then, for an untrained LSTM, the last state moving away from the unpadded answer
as zeros are appended, and not moving at all with a mask.
"""

import warnings

import numpy as np

import minilstm as ml

rng = np.random.default_rng(0)
readings = [rng.random((length, 2)) for length in (3, 12, 5)]  # three sensors, two channels

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    as_integers = ml.pad_sequences(readings)
print(f"default dtype {as_integers.dtype}: {np.count_nonzero(as_integers)} values are not 0")
print(f"  {caught[0].category.__name__}: {caught[0].message}")
x = ml.pad_sequences(readings, dtype="float32", padding="post")
print(f"float32: {np.count_nonzero(x)} values are not 0")

print("\nWhat a maximum length costs: steps cut off, cells that are only padding")
print(ml.padding_audit(readings, [3, 6, 12]))

layer = ml.LSTM(8)
short = readings[0][None].astype("float32")  # (1, 3, 2), no padding at all
answer = layer(short)
print("\nzeros appended   change of the last state   with a mask")
for zeros in (1, 10, 50, 200):
    padded = ml.pad_sequences([readings[0]], 3 + zeros, "float32", "post")
    mask = ml.lengths_to_mask([3], 3 + zeros, "post")
    without = np.abs(layer(padded) - answer).max()
    with_mask = np.abs(layer(padded, mask=mask) - answer).max()
    print(f"{zeros:14d}   {without:24.3f}   {with_mask:11.3f}")
