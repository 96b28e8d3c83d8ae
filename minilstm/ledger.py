"""The ledger: where the gradient of each step comes from, as an exact split.

Backpropagation adds up, at every step, what reaches a state from several sides. The trace keeps the
sums, dh and dc; the ledger opens them again. For the LSTM, t+1 being the next step,

    dh = external + from_h + held_h                   dc = external_c + from_h_now + from_c + held_c

    external      from the layer above, directly      external_c   from a returned cell state
    from_h        dhu[t+1] @ U.T: through the recurrent weights
    from_h_now    dh o (1 - tanh(c)^2): through this step's own output
    from_c        dc[t+1] f[t+1]: through the constant-error carousel, past all weights
    held_h/_c     a masked next step holds the state, and hands its gradient through

The GRU has no c, and a direct path of its own: dh = external + from_h + from_z + held_h with
from_z = dh[t+1] z[t+1]. The simple recurrent network has only dh = external + from_h + held_h. Peepholes
add from_peephole to dc: (dz_i p_i + dz_f p_f)[t+1]; the output gate's own, dz_o p_o, is part of from_h_now.

Everything is computed in float64 from the arrays of the trace; nothing is run again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from minilstm.cells import Array
from minilstm.errors import one_of, whole_number, wording
from minilstm.norms import by_lag, norm

if TYPE_CHECKING:
    from minilstm.trace import LayerTrace


@dataclass(frozen=True)
class Ledger:
    """The split of one layer's gradients; `ledger["from_h"]` is one of its terms, (B, T, H) in float64.

    terms : for "dh" (and "dc"), the names of the terms that add up to it
    routes : the way that the gradient took to arrive at a step, see `shares`; (B, T, H) each
    """

    trace: LayerTrace
    terms: dict[str, tuple[str, ...]]
    routes: dict[str, Array]
    _arrays: dict[str, Array]
    _dxw: Array  # (B, T, nH)
    _dhu: Array  # (B, T, nH)

    def __getitem__(self, term: str) -> Array:
        return self._arrays[one_of("term", term, self._arrays)]

    def residual(self, total: str = "dh") -> Array:
        """|total - sum of its terms| at each step, relative to the largest term of that step: (T,).

        Rounding leaves about 1e-16; 0 where every term is 0.
        """
        names = self.terms[one_of("total", total, self.terms)]
        found = getattr(self.trace, total).astype(np.float64)
        error = np.abs(found - sum(self._arrays[name] for name in names)).max(axis=(0, 2), initial=0)
        largest = np.max([np.abs(self._arrays[name]).max(axis=(0, 2), initial=0) for name in names], axis=0)
        ratio: Array = error / np.where(largest == 0, 1, largest)
        return ratio

    def shares(self) -> dict[str, Array]:
        """By which route the gradient of the state arrives, k real steps before the end: (L,) each.

        The norm of each route's part over the sum of these norms, so the shares add up to 1; all are 0
        where no gradient arrives, nan where it is not finite. The state is c for the LSTM, otherwise h.

        loss : from the layer above, at this very step;  recurrent weights : through U, from the next step;
        carousel : through the forget gate (LSTM), update gate : through z (GRU), past all weights
        """
        real = self.trace.real
        norms = {
            route: by_lag(norm(np.where(real[..., None], part, 0), (2,)), real)
            for route, part in self.routes.items()
        }
        with np.errstate(over="ignore", invalid="ignore"):
            largest = np.max(list(norms.values()), axis=0)
            scaled = {route: found / np.where(largest == 0, 1, largest) for route, found in norms.items()}
            total = np.sum(list(scaled.values()), axis=0)
            return {route: found / np.where(total == 0, 1, total) for route, found in scaled.items()}

    def gate_norms(self) -> dict[str, Array]:
        """The norm of dL/dz at each step, gate by gate: (T,) each; masked steps are 0."""
        return {gate: norm(block, (0, 2)) for gate, block in self.trace.blocks(self._dxw).items()}

    def contribution(self, step: int) -> dict[str, Array]:
        """What one time step adds to the weights' gradients, by the weight's name and in its shape.

        Added up over all steps this is the gradient of the weights.
        """
        T = self.trace.real.shape[1]
        if not whole_number("step", step, 0) < T:
            raise ValueError(wording("step", f"a time step below {T}", step))
        x, h_prev = self.trace.x[:, step], self.trace.h[:, step - 1] if step else self.trace.h0
        dxw, dhu = self._dxw[:, step], self._dhu[:, step]
        return {"kernel": x.T @ dxw, "recurrent_kernel": h_prev.T @ dhu, "bias": dxw.sum(axis=0)}

    def weight_norms(self) -> dict[str, Array]:
        """The norm of each step's `contribution`, by the weight's name: (T,) each.

        A contribution is formed, one step at a time, and not guessed from the norms of its factors: what
        cancels between the samples of the batch cancels here too.
        """
        steps = [self.contribution(step) for step in range(self.trace.real.shape[1])]
        return {name: np.array([norm(found[name]) for found in steps]) for name in steps[0]}


def ledger_of(trace: LayerTrace) -> Ledger:
    """Open the sums of a layer's trace. See the module's docstring."""
    dxw = trace.dz.astype(np.float64)
    dhu = dxw
    f, o, dh, dc = (getattr(trace, name).astype(np.float64) for name in ("f", "o", "dh", "dc"))
    show = np.where(trace.real[..., None], o * (1 - np.tanh(trace.c.astype(np.float64)) ** 2), 0)

    def of_next(array: Array, where: Array) -> Array:
        """The array's value at the next step, where that is in `where` (B, T); 0 at the last step."""
        found = np.zeros_like(array)
        found[:, :-1] = np.where((where & ~trace.cut)[:, 1:, None], array[:, 1:], 0)
        return found

    real, masked = trace.real, ~trace.real
    arrays = {
        "external": trace.external.astype(np.float64),
        "from_h": of_next(dhu @ trace.weights.U.T.astype(np.float64), real),
        "held_h": of_next(dh, masked),
        "external_c": np.zeros_like(dc),
        "from_h_now": dh * show,
        "from_c": of_next(dc * f, real),
        "held_c": of_next(dc, masked),
    }
    terms = {
        "dh": ("external", "from_h", "held_h"),
        "dc": ("external_c", "from_h_now", "from_c", "held_c"),
    }
    hold = np.zeros(real.shape, bool)
    hold[:, :-1] = (masked & ~trace.cut)[:, 1:]  # the next step hands its gradient through
    loss_h, recurrent_h = (_carried(arrays[name], hold) for name in ("external", "from_h"))
    routes = {
        "loss": _carried(arrays["external_c"] + loss_h * show, hold),
        "recurrent weights": _carried(recurrent_h * show, hold),
        "carousel": _carried(arrays["from_c"], hold),
    }
    return Ledger(trace, terms, routes, arrays, dxw, dhu)


def _carried(part: Array, hold: Array) -> Array:
    """part[t], plus what is carried to t from the steps after it through held states: (B, T, H)."""
    found = part.copy()
    for t in reversed(range(part.shape[1] - 1)):
        found[:, t] += np.where(hold[:, t, None], found[:, t + 1], 0)
    return found
