"""Stream: a model that reads sequences as they come, one step or a piece at a time.

What this file is not: it computes nothing. The layers' `stages` do, with the kernels of `predict`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from threading import get_ident
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike

from minilstm.bptt.cell import State
from minilstm.foundations.arrays import Array, numeric_array
from minilstm.foundations.errors import shown, whole_number, wording
from minilstm.layers import Embedding, checks
from minilstm.network.network import Network, checked_built
from minilstm.saving.streams import load_stream, save_stream, weights_digest
from minilstm.streams.stages import RecurrentStage, stages_of


class Stream:
    """`batch` sequences that a model reads side by side, each at its own state. Made by `Sequential.stream`.

    `stream(x)` takes the next step of each, (B, D), or a piece, (B, T, D), and returns (B, ...) or
    (B, T, ...): what `predict` over all that came so far would return for these steps. With the compiled
    backend the same bits, in whatever pieces the steps come, with the NumPy backend the same to rounding.
    Where the model gives an output for the last step alone, the stream gives it for each step, as if the
    sequence ended there. x must have the model's dtype, or be a list; for an Embedding ids, (B,) or (B, T).

    mask : (B,) or (B, T), True = real step; a sequence that has nothing to say waits, its state is held

    The stream has the weights that the model had when it was made: it does not follow later training. A step
    takes no memory that is not given back, and what is refused leaves the stream as it was. The one exception
    is NaN or Inf in a real step: that sequence is lost, its outputs are NaN until `reset(rows)`, a
    RuntimeWarning names it once, and `lost` tells it; the others go on untouched.

    A stream belongs to the thread that first uses it; `copy()` makes one for another thread.

    >>> import minilstm as ml
    >>> model = ml.Sequential([ml.LSTM(4, input_shape=(None, 2)), ml.Dense(1)], seed=0)
    >>> x = np.ones((1, 6, 2), "float32")
    >>> stream = model.stream()
    >>> steps = [stream(x[:, t]) for t in range(6)]
    >>> bool((steps[-1] == model.predict(x)).all())
    True
    """

    _thread: int | None = None  # the one it belongs to, once it has been used

    def __init__(self, network: Network, batch: int = 1) -> None:
        self.batch = whole_number("batch", batch)
        checked_built(network)
        first = network.layers[0]
        self._stages = stages_of(network.layers, self.batch)
        self._recurrent = {s.layer.label: s for s in self._stages if isinstance(s, RecurrentStage)}
        self._rows_of_table = first.input_dim if isinstance(first, Embedding) else None
        self._dtype = network.dtype
        self._step = (self.batch, *(first.input_shape or ())[1:])  # shape of one step
        self._lost = np.zeros(self.batch, bool)
        self._digest = weights_digest(network)

    def __repr__(self) -> str:
        step = ", ".join(map(str, self._step))
        return f"<Stream of {self.batch} sequence{'' if self.batch == 1 else 's'}, a step of shape ({step})>"

    def __call__(self, x: ArrayLike, mask: ArrayLike | None = None) -> Array:
        """The output of the next step (B, D), or of the next steps (B, T, D)."""
        if get_ident() != self._thread:
            self._enter()
        array = x if type(x) is np.ndarray and x.dtype == self._dtype else self._converted(x)
        one = array.shape == self._step
        if not one and (array.ndim != len(self._step) + 1 or not self._fits(array)):
            raise ValueError(wording("x", self._expected, f"shape {array.shape}"))
        real = None if mask is None else checks.checked_mask(mask, array.shape[: 1 if one else 2])
        if one:
            array, real = array[:, None], None if real is None else real[:, None]
        array = self._readable(array, real)
        with np.errstate(over="ignore", invalid="ignore"):
            for stage in self._stages:
                array, real = stage(array, real)
        return array[:, 0] if one else array

    @property
    def state(self) -> dict[str, State]:
        """The states of the recurrent layers by their names: copies, (B, H) each, h first.

        To be assigned in the same form: all layers, finite, shapes and dtype as they are read.
        """
        self._enter()
        return {name: stage.steps.state for name, stage in self._recurrent.items()}

    @state.setter
    def state(self, state: Mapping[str, Sequence[ArrayLike]]) -> None:
        self._enter()
        if not isinstance(state, Mapping) or set(state) != set(self._recurrent):
            got = sorted(state) if isinstance(state, Mapping) else type(state).__name__
            raise ValueError(wording("state", f"a dict by the layers {sorted(self._recurrent)}", got))
        found = {
            name: stage.layer.checked_state(state[name], self.batch)
            for name, stage in self._recurrent.items()
        }
        self._put(found)

    @property
    def lost(self) -> Array:
        """(B,) bool: the sequences that met NaN or Inf since their last reset."""
        return self._lost.copy()

    def reset(self, rows: ArrayLike | slice | None = None) -> None:
        """Begin again at a state of zeros: all sequences, or some (numbers, a slice, or a mask of bool)."""
        self._enter()
        chosen = slice(None) if rows is None else self._checked_rows(rows)
        for stage in self._recurrent.values():
            state = stage.steps.state
            for part in state:
                part[chosen] = 0
            stage.steps.state = state
        self._lost[chosen] = False

    def copy(self) -> Stream:
        """A stream at the same states that goes its own way, in whatever thread uses it first."""
        self._enter()
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._stages = [s.copy() if isinstance(s, RecurrentStage) else s for s in self._stages]
        other._recurrent = {s.layer.label: s for s in other._stages if isinstance(s, RecurrentStage)}
        other._lost = self._lost.copy()
        del other._thread
        return other

    def __copy__(self) -> Stream:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> Stream:
        return self.copy()

    def __reduce__(self) -> NoReturn:
        expected = "saved by save(path), and read by load(path) into a stream of the same model"
        raise TypeError(wording("stream", expected, "a pickle"))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the states to `path`, an .npz or a .safetensors, as `Sequential.save` writes a model."""
        self._enter()
        save_stream(path, self._digest, self.batch, self._arrays())

    def load(self, path: str | os.PathLike[str]) -> None:
        """Go to the states that `save` wrote to `path`: of the same model with the same weights, and batch.

        Raises WeightsFileError, and changes nothing, for any other file.
        """
        self._enter()
        found = load_stream(path, self._digest, self.batch, self._arrays())
        states: dict[str, State] = {}
        for name, array in found.items():
            layer = list(self._recurrent)[int(name.partition("/")[0])]
            states[layer] = (*states.get(layer, ()), array)
        self._put(states)

    # ------------------------------------------------------------ inside

    def _enter(self) -> None:
        """Bind the stream to this thread; RuntimeError where it belongs to another one."""
        if self.__dict__.setdefault("_thread", get_ident()) != get_ident():  # one step: threads may race here
            expected = "used from one thread (make a copy() for each)"
            raise RuntimeError(wording("stream", expected, "a call from a second one"))

    def _converted(self, x: ArrayLike) -> Array:
        """x as an array of the model's dtype, or of ids; TypeError where an array has another dtype."""
        array = numeric_array("x", x)
        if self._rows_of_table is not None:
            return array
        if isinstance(x, np.ndarray) and array.dtype != self._dtype:
            raise TypeError(wording("x", f"of the model's dtype {self._dtype}", array.dtype))
        with np.errstate(over="ignore"):
            return array.astype(self._dtype)

    def _fits(self, array: Array) -> bool:
        """Whether this is a piece of at least one step."""
        B, *rest = self._step
        return array.shape[1] > 0 and array.shape[0] == B and list(array.shape[2:]) == rest

    @property
    def _expected(self) -> str:
        B, *rest = self._step
        piece = ", ".join(map(str, (B, "T", *rest)))
        return f"a step of shape {self._step} or a piece of shape ({piece})"

    def _readable(self, array: Array, real: Array | None) -> Array:
        """x (B, S, ...) as kernels take it: contiguous, masked steps 0, sequences with NaN or Inf lost."""
        if self._rows_of_table is not None:
            return checks.check_token_ids(array, self._rows_of_table, real)
        if real is not None:
            array = np.where(real.reshape(*real.shape, *(1 for _ in self._step[1:])), array, 0)
        elif not array.flags.carray:
            array = np.array(array)
        if not np.isfinite(array).all():
            array = self._lose(array)
        return array

    def _lose(self, array: Array) -> Array:
        """x with NaN all over each step that is not finite, so that no output of it is a number."""
        bad = np.asarray((~np.isfinite(array)).any(axis=tuple(range(2, array.ndim))))  # (B, S)
        rows = bad.any(axis=1)
        new = np.flatnonzero(rows & ~self._lost)
        self._lost |= rows
        if len(new):
            got = f"NaN or Inf in {len(new)} of {self.batch} streams, which are lost until reset(rows)"
            warnings.warn(wording("x", "finite", f"{got}: {new[:10].tolist()}"), RuntimeWarning, stacklevel=4)
        array = array.copy()
        array[bad] = np.nan
        return array

    def _checked_rows(self, rows: ArrayLike | slice) -> Any:
        expected = f"numbers 0 .. {self.batch - 1}, a slice, or {self.batch} of True and False"
        if isinstance(rows, slice):
            return rows
        try:
            array = np.asarray(rows)
        except ValueError:  # ragged
            raise TypeError(wording("rows", expected, shown(rows))) from None
        if array.dtype.kind == "b" and array.shape == (self.batch,):
            return array
        if array.size == 0 and array.ndim == 1:
            return array.astype(np.intp)
        if array.dtype.kind not in "iu" or array.ndim > 1:
            raise TypeError(wording("rows", expected, shown(rows)))
        if array.min() < 0 or array.max() >= self.batch:
            raise ValueError(wording("rows", expected, shown(rows)))
        return array

    def _arrays(self) -> dict[str, Array]:
        """The states under their names in a file, in the order of the layers."""
        return {
            f"{k}/{name}": part
            for k, stage in enumerate(self._recurrent.values())
            for name, part in zip(stage.layer.cell.states, stage.steps.state, strict=True)
        }

    def _put(self, states: Mapping[str, State]) -> None:
        for name, stage in self._recurrent.items():
            stage.steps.state = states[name]
        bad = [np.isnan(part).any(axis=1) for state in states.values() for part in state]
        self._lost = np.logical_or.reduce(bad)
