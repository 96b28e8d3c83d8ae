"""What one recurrent layer did in one pass: its arrays, and the plain questions one can ask of them.

Not the analyses that are built on it (`horizon`, `ledger`, `nonfinite`, `dynamics`), nor `trace`, where users
meet all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from minilstm.bptt.cell import Cell, StepGradients, Weights
from minilstm.foundations.arrays import Array, numeric_array
from minilstm.foundations.errors import by_name, flag, instance, one_of, whole_number, wording
from minilstm.foundations.norms import norm
from minilstm.trace.lags import by_lag, reach

ALL = slice(None)
ONE_LAYER = 'the trace of one layer, as model.trace(x, y)["lstm"]'


@dataclass(frozen=True)
class Recording:
    """The arrays of one recurrent layer, batch first, in the model's dtype, as attributes.

    h dh external : (B, T, H), and c dc of an LSTM;
    i f g o of an LSTM, z r g q of a GRU : (B, T, H), see `minilstm.bptt.cell`;
    dz : (B, T, nH), dL/d(pre-activations), in the blocks of cell.gates;
    external is what reaches h_t directly from the layer above: where a mask ends the sample earlier, the
    loss reads the held state, and external stands at the masked last step;
    x dx : (B, T, D), the layer's input;  h0 c0 dh0 dc0 : (B, H), the initial state and its gradient;
    real : (B, T) bool, the steps that are not masked;
    cut : (T,) bool, the steps before which truncated backpropagation cut the gradient;
    go_backwards : whether the layer reads from the last step to the first, as one of a Bidirectional does.
    All arrays are then in the order of reading: row t is step T - 1 - t of the input.

    In a TimeDistributed the samples are those that the layer within it sees: row b T + t, for step t of
    sample b. At a masked step h and c are held, gates and dz are 0, and dh and dc pass through.
    """

    name: str
    cell: Cell
    weights: Weights = field(repr=False)  # a copy
    arrays: dict[str, Array] = field(repr=False)
    real: Array = field(repr=False)
    cut: Array = field(repr=False)
    reached: dict[str, Array] = field(repr=False)  # (B, T) bool each: a path from the loss exists
    go_backwards: bool = False

    def __repr__(self) -> str:
        B, T, H = self.arrays["h"].shape
        kind = type(self.cell).__name__.removesuffix("Cell")
        order = ", read from the end" if self.go_backwards else ""
        return f"<{type(self).__name__} {self.name!r}: {kind}, B={B}, T={T}, H={H}{order}>"

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.arrays})

    def __getattr__(self, name: str) -> Array:
        try:
            found: Array = self.__dict__["arrays"][name]
        except KeyError:
            message = f"the trace of a recurrent layer has no {name!r}"
            raise AttributeError(message) from None
        return found

    @property
    def states(self) -> tuple[str, ...]:
        """The names of the states, h first."""
        return self.cell.states

    @property
    def gates(self) -> tuple[str, ...]:
        """The names of the blocks of dz."""
        return self.cell.gates

    @property
    def memory(self) -> str:
        """The state that carries the memory: c of an LSTM, h where there is no other."""
        return self.states[min(1, len(self.states) - 1)]

    @property
    def names(self) -> list[str]:
        """The names of the arrays that have a row for each step, (B, T, .)."""
        return [name for name, array in self.arrays.items() if array.ndim == 3]

    @property
    def named_weights(self) -> dict[str, Array]:
        """The layer's weights as they were, under the names of its parameters."""
        W, U, b, rb, p = self.weights
        found = {"kernel": W, "recurrent_kernel": U, "bias": b if rb is None else np.stack([b, rb])}
        if not U.size:  # a cell that does not read h @ U
            del found["recurrent_kernel"]
        return found if p is None else found | {self.name_of_p: p}

    @property
    def name_of_p(self) -> str:
        """The name of p among the layer's parameters."""
        return "peepholes" if self.peepholes else "p"

    @property
    def peepholes(self) -> tuple[str, ...]:
        """The gates that have a peephole."""
        return tuple(row for row in self.cell.rows if row in self.gates)

    def before(self, state: str) -> Array:
        """The state that each step starts from, "h" or "c": (B, T, H)."""
        one_of("state", state, self.states)
        first = self.arrays[f"{state}0"][:, None]
        return np.concatenate([first, self.arrays[state][:, :-1]], axis=1)

    def blocks(self, array: Array) -> dict[str, Array]:
        """An array of blocks, such as dz (B, T, nH), as one array (B, T, H) for each gate."""
        array = numeric_array("array", array)
        if array.ndim == 0 or array.shape[-1] != self.arrays["dz"].shape[-1]:
            expected = f"of blocks side by side, {self.arrays['dz'].shape[-1]} columns"
            raise ValueError(wording("array", expected, f"shape {array.shape}"))
        parts = np.split(array, len(self.gates), axis=-1)
        return dict(zip(self.gates, parts, strict=True))

    def step_back(
        self, dstate: Mapping[str, Array], steps: slice = ALL, gates_held: bool = False
    ) -> StepGradients:
        """One step of the cell backwards, at all or some `steps`, in float64; dp is the sum over them.

        dstate : (B, S, H) by the name of the state, as the cell is told; 0 for those left out, and at
        masked steps. With `gates_held`, what dprev gets through peepholes is left out.
        """
        instance("steps", steps, slice, "a slice of time steps"), flag("gates_held", gates_held)
        dstate = by_name("dstate", dstate)
        shape, p = self.h[:, steps].shape, self.weights.p
        for state, part in dstate.items():
            one_of("a name in dstate", state, self.states)
            if np.shape(part) != shape:
                raise ValueError(wording(f"dstate[{state!r}]", f"of shape {shape}", np.shape(part)))

        def flat(array: Array) -> Array:
            return array[:, steps].reshape(-1, array.shape[-1]).astype(np.float64)

        def told(state: str) -> Array:
            part = dstate.get(state, np.zeros(shape))
            return np.where(self.real[:, steps, None], part, 0).reshape(-1, shape[-1])

        found = self.cell.backward(
            tuple(told(state) for state in self.states),
            tuple(flat(self.before(state)) for state in self.states),
            tuple(flat(self.arrays[state]) for state in self.states),
            tuple(flat(self.arrays[name]) for name in self.cell.kept),
            None if p is None or (gates_held and self.peepholes) else p.astype(np.float64),
        )

        def whole(array: Array) -> Array:
            return array.reshape(*shape[:2], array.shape[-1])

        dprev, total = (tuple(map(whole, state)) for state in (found.dprev, found.total))
        return StepGradients(whole(found.dxw), whole(found.dhu), dprev, total, found.dp)

    def row(self, sample: int) -> int:
        """`sample`, where it is a row of the batch; ValueError or TypeError otherwise."""
        B = len(self.real)
        if not whole_number("sample", sample, 0) < B:
            raise ValueError(wording("sample", f"a row of the batch, 0 to {B - 1}", sample))
        return sample

    def norm(self, name: str, per_sample: bool = False) -> Array:
        """L2 norm of an array at each time step, over units and samples: (T,); or (B, T) `per_sample`.

        float64, scaled before squaring, so that 1e-200 is a number. Masked steps do not count: they
        add nothing, and a step that is masked in every sample has norm 0.

        >>> import minilstm as ml
        >>> model = ml.Sequential([ml.LSTM(4, input_shape=(6, 2)), ml.Dense(1)], seed=0)
        >>> model.compile(loss="mse")
        >>> model.trace(np.ones((3, 6, 2)), np.zeros(3))["lstm"].norm("dh").shape
        (6,)
        """
        axes = (2,) if flag("per_sample", per_sample) else (0, 2)
        return norm(np.where(self.real[..., None], self._array(name), 0), axes)  # of (B, T, .)

    def lag_norm(self, name: str) -> Array:
        """The same norm, counted back from each sample's last real step: (L,), L the longest length.

        Entry k pools the steps that lie k real steps before the end of their sample, so padding does
        not blur it.
        """
        return by_lag(self.norm(name, per_sample=True), self.real)

    def horizon(self, threshold: float = 0.01, name: str = "dh", sample: int | None = None) -> float:
        """How many steps back from the end the gradient still has `threshold` of its largest norm.

        1 + the largest k with n_k >= threshold * max n, n = lag_norm(name), or the norms of one sample; 0 if
        all norms are zero, nan if one is nan. Made for a loss on the last real step; for a loss on every
        step it is the reach of the pooled gradient, whatever step it started from.
        """
        if sample is None:
            return reach(self.lag_norm(name), threshold)
        row = self.row(sample)
        norms = by_lag(self.norm(name, per_sample=True)[row, None], self.real[row, None])
        return reach(norms, threshold)

    def status(self, name: str) -> Array:
        """What the values of each time step are, as (T,) strings.

        "nan" or "inf" if there is one; "zero" if all are zero because no path leads there from the
        loss; "underflow" if a path exists but the dtype flushed every value to zero or to a subnormal;
        "masked" if no sample has a real step there; otherwise "ok". Masked samples do not count.
        """
        values = self._array(name)
        size = np.abs(np.where(self.real[..., None], values, 0))
        with np.errstate(invalid="ignore"):
            largest = size.max(axis=(0, 2))  # (T,), NaN if there is one
        reached = self.reached.get(name)
        path = np.zeros(len(largest), bool) if reached is None else (reached & self.real).any(axis=0)
        tiny = np.finfo(values.dtype).tiny
        conditions = [
            ~self.real.any(axis=0),
            np.isnan(largest),
            np.isinf(largest),
            (largest == 0) & ~path,
            largest < tiny,
        ]
        return np.select(conditions, ["masked", "nan", "inf", "zero", "underflow"], "ok")

    def _array(self, name: str) -> Array:
        return self.arrays[one_of("name", name, self.names)]
