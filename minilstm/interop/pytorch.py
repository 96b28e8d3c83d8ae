"""State dicts of PyTorch: nn.LSTM, nn.GRU and nn.RNN (stacked, bidirectional), nn.Linear and nn.Embedding.

PyTorch keeps the transposed matrices, `weight_ih_l0` (nH, D) and `weight_hh_l0` (nH, H), with `_reverse` for
the backward direction, and two biases per layer. The LSTM and the simple network only ever add the two, and
so keep one here; the GRU uses them apart. The GRU's blocks are r, z, n there, and z, r, g here and in Keras.

Source: `torch/nn/modules/rnn.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from minilstm.foundations import errors
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import shown, wording
from minilstm.layers import Dense, Embedding, Layer, Recurrent
from minilstm.layers.wrappers import Wrapper

__all__ = ["from_torch_state_dict", "to_torch_state_dict"]

Layers = Layer | Sequence[Layer]


def to_torch_state_dict(
    layers: Layers, *, prefix: str = "", like: Mapping[str, Any] | None = None
) -> dict[str, Array]:
    """The weights of `layers` under PyTorch's names, as NumPy arrays.

    Parameters
    ----------
    layers : an LSTM, GRU or SimpleRNN, a Bidirectional around one, or a list of them for `num_layers` > 1;
        or a Dense (nn.Linear), or an Embedding (nn.Embedding)
    prefix : what stands before the names, such as "rnn."
    like : a state dict, as `from_torch_state_dict` took it. An LSTM's two biases are one here, and leave as
        (b, 0); with `like` they leave as they stand there, if their sum is still the same, and otherwise as
        (b - bias_hh, bias_hh)

    For PyTorch: `module.load_state_dict({k: torch.from_numpy(v) for k, v in result.items()})`.

    >>> import minilstm as ml
    >>> layer = ml.LSTM(4)
    >>> _ = layer(np.ones((1, 2, 3)))
    >>> {name: array.shape for name, array in to_torch_state_dict(layer).items()}
    {'weight_ih_l0': (16, 3), 'weight_hh_l0': (16, 4), 'bias_ih_l0': (16,), 'bias_hh_l0': (16,)}
    """
    _check_prefix(prefix)
    state: dict[str, Array] = {}
    for name, layer, key in _places(layers):
        W = layer.params[key]
        if isinstance(layer, Recurrent) and key == "bias":
            first, second = _split_bias(layer, name, prefix, like)
            state[f"{prefix}{name}"] = first
            state[f"{prefix}{name.replace('_ih_', '_hh_')}"] = second
        elif isinstance(layer, Recurrent):
            state[f"{prefix}{name}"] = np.ascontiguousarray(_reordered(layer, W).T)
        else:
            state[f"{prefix}{name}"] = np.ascontiguousarray(W.T) if key == "kernel" else W.copy()
    return state


def from_torch_state_dict(state: Mapping[str, Any], layers: Layers, *, prefix: str = "") -> None:
    """Put the weights of a state dict into `layers`; nothing is changed if one of them does not fit.

    Parameters
    ----------
    state : names -> tensors or arrays; only the names that begin with `prefix` are looked at
    layers, prefix : as in `to_torch_state_dict`; the layers have their weights already (a model with an
        `input_shape`, or after its first use)

    Raises ValueError for a name that is missing or that the layers have no place for (projections, another
    number of layers, another direction), for a wrong shape, and for weights that are not finite.

    >>> import minilstm as ml
    >>> layer = ml.LSTM(4)
    >>> _ = layer(np.ones((1, 2, 3)))
    >>> from_torch_state_dict(to_torch_state_dict(layer), layer)
    """
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        raise TypeError(wording("state", "a state dict, names -> tensors or arrays", f"{state!r:.60}"))
    _check_prefix(prefix)
    given = {
        name[len(prefix) :]: _array(f"state[{name!r}]", v)
        for name, v in state.items()
        if name.startswith(prefix)
    }
    projected = next((name for name in given if re.match("weight_hr_l[0-9]", name)), None)
    if projected is not None:
        expected = "of a network without projections (proj_size), which minilstm's LSTM has not"
        raise ValueError(wording("state", expected, prefix + projected))
    found: list[tuple[Layer, str, Array]] = []
    used: set[str] = set()
    for name, layer, key in _places(layers):
        names = [name]
        if isinstance(layer, Recurrent) and key == "bias":
            names.append(name.replace("_ih_", "_hh_"))
        for one in names:
            if one not in given:
                expected = f"with an entry {prefix + one!r}"
                if key == "bias" and not given.keys() & set(names):
                    expected += f", or {layer.label!r} made with use_bias=False"
                raise ValueError(wording("state", expected, f"{', '.join(state) or 'none':.300}"))
        used |= set(names)
        value = _ours(layer, key, [given[one] for one in names])
        if value is None or value.shape != layer.params[key].shape:
            expected = f"of shape {_torch_s(layer, key)}, for {layer.label}/{key}"
            wrong = next((one for one in names if given[one].shape != _torch_s(layer, key)), name)
            raise ValueError(wording(f"state[{prefix + wrong!r}]", expected, given[wrong].shape))
        with np.errstate(over="ignore"):
            value = value.astype(layer.params[key].dtype)
        if not np.isfinite(value).all():
            expected = f"finite in {value.dtype}"
            raise ValueError(wording(f"state[{prefix + name!r}]", expected, "NaN, Inf or too large a number"))
        found.append((layer, key, value))
    if surplus := [prefix + name for name in given if name not in used]:
        raise ValueError(
            wording("state", "without weights that the layers do not have", f"{', '.join(surplus):.300}")
        )
    for layer, key, value in found:
        layer.params[key][...] = value


def _places(layers: Layers) -> Iterator[tuple[str, Layer, str]]:
    """PyTorch's name, the layer and its own name for every weight; of two biases the first."""
    expected = "a layer or a list of recurrent layers, as model.layers[:2]"
    listed = [layers] if isinstance(layers, Layer) else errors.listed("layers", expected, layers)
    if not listed or not all(isinstance(layer, Layer) for layer in listed):
        raise TypeError(wording("layers", expected, shown(layers)))
    for layer in listed:
        if not layer.built:
            raise RuntimeError(f"layer {layer.label!r} has no weights yet: build the model, or use it once")
    first = listed[0]
    if len(listed) == 1 and isinstance(first, Dense):
        for key in first.params:
            yield ("weight" if key == "kernel" else key), first, key
    elif len(listed) == 1 and isinstance(first, Embedding):
        yield "weight", first, "embeddings"
    else:
        for k, layer in enumerate(listed):
            for direction, one in zip(("", "_reverse"), _directions(layer), strict=False):
                names = {"kernel": "weight_ih", "recurrent_kernel": "weight_hh", "bias": "bias_ih"}
                for key in one.params:
                    yield f"{names[key]}_l{k}{direction}", one, key


def _torch_s(layer: Layer, key: str) -> tuple[int, ...]:
    """The shape that PyTorch's array of this weight has."""
    shape = layer.params[key].shape
    return shape[-1:] if key == "bias" else shape if key == "embeddings" else shape[::-1]


def _directions(layer: Layer) -> tuple[Recurrent, ...]:
    """The recurrent layers in `layer`: itself, or forward and backward."""
    inner: tuple[Any, ...] = layer.sublayers if isinstance(layer, Wrapper) else (layer,)
    gates = {"lstm": ("i", "f", "g", "o"), "gru": ("z", "r", "g"), "simple_rnn": ("h",)}
    for one in inner:
        if (
            not isinstance(one, Recurrent)
            or one.cell.gates != gates.get(one.cell.name)
            or "peepholes" in one.params
        ):
            expected = "LSTM, GRU or SimpleRNN as PyTorch has them (no peepholes, a learned forget gate)"
            if isinstance(one, (Dense, Embedding)):
                expected += ", or a call of its own, with its prefix"
            raise ValueError(wording(f"layer {layer.label!r}", expected, shown(layer)))
    if [bool(one.go_backwards) for one in inner] != [False, True][: len(inner)]:
        expected = "one that reads forwards, or first forwards, for PyTorch"
        raise ValueError(wording(f"layer {layer.label!r}", expected, shown(layer)))
    return inner


def _reordered(layer: Recurrent, W: Array) -> Array:
    """The blocks of the last axis in the other library's order; z r g <-> r z n is its own inverse."""
    if layer.cell.name != "gru":
        return W
    z, r, g = np.split(W, 3, axis=-1)
    return np.concatenate([r, z, g], axis=-1)


def _ours(layer: Layer, key: str, given: Sequence[Array]) -> Array | None:
    """What PyTorch's arrays are here; None where their shapes cannot be meant."""
    if any(array.ndim != (1 if key == "bias" else 2) for array in given):
        return None
    if not isinstance(layer, Recurrent):
        return given[0].T if key == "kernel" else given[0]
    size = len(layer.cell.gates) * layer.units
    if any(len(array) != size for array in given):
        return None
    if key != "bias":
        return _reordered(layer, given[0].T)
    if layer.cell.name == "gru":
        return _reordered(layer, np.stack(given))
    return given[0] + given[1]


def _split_bias(
    layer: Recurrent, name: str, prefix: str, like: Mapping[str, Any] | None
) -> tuple[Array, Array]:
    """PyTorch's bias_ih and bias_hh."""
    bias = _reordered(layer, layer.params["bias"])
    if layer.cell.name == "gru":
        return bias[0].copy(), bias[1].copy()
    if like is None:
        return bias.copy(), np.zeros_like(bias)
    if not isinstance(like, Mapping):
        raise TypeError(wording("like", "a state dict, names -> tensors or arrays", f"{like!r:.60}"))
    names = [prefix + name, prefix + name.replace("_ih_", "_hh_")]
    for one in names:
        if one not in like:
            raise ValueError(
                wording("like", f"with an entry {one!r}", f"{', '.join(map(str, like)) or 'none':.300}")
            )
    first, second = (_array(f"like[{one!r}]", like[one]) for one in names)
    if first.shape != bias.shape or second.shape != bias.shape:
        raise ValueError(wording(f"like[{names[0]!r}]", f"of shape {bias.shape}", first.shape))
    same = (first + second).astype(bias.dtype) == bias
    return np.where(same, first, bias - second).astype(bias.dtype), second.astype(bias.dtype)


def _check_prefix(prefix: Any) -> None:
    if not isinstance(prefix, str):
        raise TypeError(wording("prefix", "a text", shown(prefix)))


def _array(argument: str, value: Any) -> Array:
    """A tensor or an array as floats of NumPy."""
    try:
        if hasattr(value, "detach"):
            value = value.detach().cpu()
            value = (value.float() if "bfloat16" in str(value.dtype) else value).numpy()
        array = np.asarray(value)
        array = array.astype(np.float32) if array.dtype.name == "bfloat16" else array  # of ml_dtypes
    except Exception as error:  # sparse, quantised, on no device, ragged: each has a type of its own
        raise TypeError(wording(argument, "an array of floats", str(error)[:200])) from None
    if array.dtype.kind != "f":
        raise TypeError(wording(argument, "an array of floats", f"dtype {array.dtype}"))
    return array
