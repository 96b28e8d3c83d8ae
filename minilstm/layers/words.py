"""The arguments that every layer takes, and what is said of Keras's arguments that have no place here."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import numpy as np

from minilstm.foundations.errors import misspelled, number_dtype, one_of, shown, switch, whole_number, wording

Shape = tuple[int | None, ...]  # of one sample, without the batch axis; None where the length may vary

NEUTRAL = {"autocast": "no layer casts", "batch_size": "a batch may have any size"}
NEUTRAL_RECURRENT = {
    "unroll": "the loop over time is one and the same",
    "implementation": "there is one",
    "use_cudnn": "the backend is named by backend=",
    "time_major": "x is (batch, time, features)",
}
REFUSED = {
    "activity_regularizer": "no penalty on outputs is built; weights have kernel_regularizer and its like",
    "kernel_constraint": "no constraints on weights are built; see kernel_regularizer",
    "recurrent_constraint": "no constraints on weights are built; see recurrent_regularizer",
    "bias_constraint": "no constraints on weights are built; see bias_regularizer",
    "embeddings_constraint": "no constraints on weights are built; see embeddings_regularizer",
    "beta_constraint": "no constraints on weights are built; see beta_regularizer",
    "gamma_constraint": "no constraints on weights are built; see gamma_regularizer",
    "lora_rank": "no low-rank adaptation is built",
    "quantization_config": "no quantization is built",
    "sparse": "no sparse tensors are built",
}
_told: set[str] = set()  # the neutral arguments that were spoken of


class Words(TypedDict, total=False):
    """Arguments of every layer; the last ones are Keras's other words for `input_shape`."""

    input_shape: Sequence[int | None] | None
    name: str | None
    trainable: bool
    dtype: Any
    seed: int | None
    batch_shape: Sequence[int | None] | None
    batch_input_shape: Sequence[int | None] | None
    input_dim: int | None
    input_length: int | None


def sort_words(
    owner: str, words: Mapping[str, Any], neutral: Mapping[str, str], known: Sequence[str]
) -> dict[str, Any]:
    """Those of `words` that mean something here; the others are told, once each, or refused by name."""
    found: dict[str, Any] = {}
    for name, value in words.items():
        if name in Words.__annotations__:
            found[name] = value
        elif name in neutral:
            if name == "time_major" and value is not None and switch(name, value):
                raise ValueError(wording(name, f"False: {neutral[name]}", shown(value)))
            tell_neutral(name, neutral[name])
        elif name in REFUSED:
            if value is not None and value is not False:
                raise ValueError(wording(name, f"None for {owner}: {REFUSED[name]}", shown(value)))
        else:
            raise misspelled(owner, name, known)
    return found


def tell_neutral(name: str, reason: str) -> None:
    """Note, once in a process, that an argument changes nothing here."""
    if name not in _told:
        _told.add(name)
        logging.getLogger("minilstm").warning("%s= is accepted and changes nothing: %s", name, reason)


def sample_shape(words: Mapping[str, Any], *, sequence: bool) -> Shape | None:
    """The shape of one sample, whichever way it was given; `sequence` of layers that read (T, D)."""
    given = {key for key, value in words.items() if value is not None}
    if {"input_shape", "batch_shape", "batch_input_shape"} & given:
        key = next(key for key in ("input_shape", "batch_shape", "batch_input_shape") if key in given)
        shape = checked_shape(key, words[key])
        return shape if key == "input_shape" else shape[1:]
    if "input_dim" in given:
        last = whole_number("input_dim", words["input_dim"])
        length = words.get("input_length")
        if length is not None:
            return whole_number("input_length", length), last
        return (None, last) if sequence else (last,)
    if "input_length" in given:
        raise ValueError(wording("input_length", "given with input_dim, or input_shape", "it alone"))
    return None


def checked_shape(argument: str, shape: Sequence[int | None]) -> Shape:
    """`shape` as a tuple of whole numbers and None."""
    if isinstance(shape, (str, bytes)) or not isinstance(shape, Sequence):
        raise TypeError(wording(argument, "a tuple like (T, D)", shown(shape)))
    return tuple(None if size is None else whole_number(argument, size) for size in shape)


def checked_dtype(value: Any) -> np.dtype[Any]:
    """float32 or float64, by name or as a dtype."""
    name = value if isinstance(value, str) else number_dtype("dtype", value).name
    return np.dtype(one_of("dtype", name, ("float32", "float64")))
