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

For any cell the terms follow from its backward step, called with the gradient of one state at a time: what it
gives to `total` of another state is from_S_now, to `dhu` from_h, to `dprev` the direct path, which is named
by `cell.direct` for the memory, from_S for another state S (from_h_prev for h), and from_S_to_R from one
state to another. Everything is computed in float64 from the arrays of the trace.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minilstm.bptt.cell import StepGradients
from minilstm.foundations import notebook
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import instance, one_of, whole_number, wording
from minilstm.foundations.norms import norm
from minilstm.trace.lags import by_lag
from minilstm.trace.paths import links_of
from minilstm.trace.recording import ONE_LAYER, Recording

quiet = np.errstate(over="ignore", invalid="ignore")  # NaN and Inf are shown, and not warned of


@dataclass(frozen=True)
class Ledger:
    """The split of one layer's gradients; `ledger["from_h"]` is one of its terms, (B, T, H) in float64.

    terms : for "dh" (and "dc"), the names of the terms that add up to it
    routes : the way that the gradient took to arrive at a step, see `shares`; (B, T, H) each
    """

    trace: Recording
    terms: dict[str, tuple[str, ...]]
    routes: dict[str, Array]
    _arrays: dict[str, Array]
    _dstate: dict[str, Array]  # (B, T, H) by state: its gradient as the cell is told it
    _dxw: Array  # (B, T, nH)
    _dhu: Array  # (B, T, nH)

    def __repr__(self) -> str:
        sums = "; ".join(f"{total} = {' + '.join(terms)}" for total, terms in self.terms.items())
        return f"<Ledger of {self.trace.name!r}: {sums}>"

    def _repr_html_(self) -> str:
        shares = self.mean_shares()
        rows = [
            [route, f"{share:.1%}", notebook.sparkline(self.shares()[route])]
            for route, share in shares.items()
        ]
        head = ["route of the gradient", "mean share", "share, from the last step back"]
        return notebook.block(repr(self)[1:-1], notebook.table(head, rows))

    def __getitem__(self, term: str) -> Array:
        return self._arrays[one_of("term", term, self._arrays)]

    @quiet
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

    @quiet
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
        largest = np.max(list(norms.values()), axis=0)
        scaled = {route: found / np.where(largest == 0, 1, largest) for route, found in norms.items()}
        total = np.sum(list(scaled.values()), axis=0)
        return {route: found / np.where(total == 0, 1, total) for route, found in scaled.items()}

    def mean_shares(self) -> dict[str, float]:
        """The mean of each route's `shares` over the steps before the last one; 0 where no gradient comes.

        "loss" is left out where it gives nothing there, as for a loss on the last step.
        """
        found = {}
        for route, share in self.shares().items():
            before = share[1:][np.isfinite(share[1:])]
            found[route] = float(before.mean()) if len(before) else 0.0
        return {route: mean for route, mean in found.items() if route != "loss" or mean > 0}

    def gate_norms(self) -> dict[str, Array]:
        """The norm of dL/dz at each step, gate by gate: (T,) each; masked steps are 0."""
        return {gate: norm(block, (0, 2)) for gate, block in self.trace.blocks(self._dxw).items()}

    @quiet
    def input_norms(self) -> Array:
        """The norm of dL/dx at each step, dx = dxw @ W.T: (T,); masked steps are 0."""
        return norm(self._dxw @ self.trace.weights.W.T.astype(np.float64), (0, 2))

    @quiet
    def contribution(self, step: int) -> dict[str, Array]:
        """What one time step adds to the weights' gradients, by the weight's name and in its shape.

        Added up over all steps this is the gradient of the weights.
        """
        T = self.trace.real.shape[1]
        if not whole_number("step", step, 0) < T:
            raise ValueError(wording("step", f"a time step below {T}", step))
        trace, weights = self.trace, self.trace.weights
        x, h_prev = trace.x[:, step], trace.h[:, step - 1] if step else trace.h0
        dxw, dhu = self._dxw[:, step], self._dhu[:, step]
        found = {"kernel": x.T @ dxw, "recurrent_kernel": h_prev.T @ dhu, "bias": dxw.sum(axis=0)}
        if weights.rb is not None:
            found["bias"] = np.stack([found["bias"], dhu.sum(axis=0)])
        if weights.p is not None:
            now = slice(step, step + 1)
            dstate = {state: part[:, now] for state, part in self._dstate.items()}
            found[trace.name_of_p] = np.asarray(trace.step_back(dstate, now).dp)
        return {name: found[name] for name in trace.named_weights}

    def weight_norms(self) -> dict[str, Array]:
        """The norm of each step's `contribution`, by the weight's name: (T,) each.

        A contribution is formed, one step at a time, and not guessed from the norms of its factors: what
        cancels between the samples of the batch cancels here too.
        """
        steps = [self.contribution(step) for step in range(self.trace.real.shape[1])]
        return {name: np.array([norm(found[name]) for found in steps]) for name in steps[0]}

    @quiet
    def norm_shares(self) -> dict[str, Array]:
        """Which gate and step made the norm of the weights' gradient, as shares of its square: (T,) per gate.

        Step t adds G_t to the gradient G, and |G|^2 is the sum of the products <G_t, G>: so the shares
        <G_t, G> / |G|^2 add up to 1 over all gates and steps. A step of which others take away as much as it
        gives has no share, whatever its own norm; one that works against the sum has a negative share.
        All are 0 where the gradient is, nan where it is not finite. Kernel, recurrent kernel and bias count,
        peepholes do not.
        """
        trace = self.trace
        sides = (trace.x, self._dxw), (trace.before("h"), self._dhu)
        found = dict.fromkeys(trace.gates, np.zeros(trace.real.shape[1]))
        parts = [
            *(_products(inputs, d) for inputs, d in sides if d.size),
            _products(np.ones((*trace.real.shape, 1)), self._dxw),
        ]
        if trace.weights.rb is not None:
            parts.append(_products(np.ones((*trace.real.shape, 1)), self._dhu))
        largest = max(size for _, size in parts)
        if largest == 0:
            return found
        # each part is relative to its own largest entry: 1e-200 and 1e200 have squares too
        summed = np.sum([products * (size / largest) ** 2 for products, size in parts], axis=0)
        return {gate: block.sum(axis=-1) / summed.sum() for gate, block in trace.blocks(summed).items()}


@quiet
def ledger_of(trace: Recording) -> Ledger:
    """Open the sums of a layer's trace. See the module's docstring."""
    instance("trace", trace, Recording, ONE_LAYER)
    cell, links, memory = trace.cell, links_of(trace.cell), trace.memory
    real, masked, flows = trace.real, ~trace.real, ~trace.cut
    dstate, steps = _alone(trace)
    dxw, zero = trace.dz.astype(np.float64), np.zeros(trace.h.shape)
    dhu = np.sum([step.dhu for step in steps.values()], axis=0)
    arrays, terms = dict[str, Array](), dict[str, tuple[str, ...]]()

    def of_next(array: Array, where: Array = real) -> Array:
        """The array's value at the next step, where that is in `where` (B, T); 0 at the last step."""
        found = np.zeros_like(array)
        found[:, :-1] = np.where((where & flows)[:, 1:, None], array[:, 1:], 0)
        return found

    for j, state in enumerate(cell.states):
        suffix = "" if j == 0 or state == memory else f"_to_{state}"
        found = {f"external_{state}": zero}
        if j == 0:
            through_U = of_next(dhu @ trace.weights.U.T.astype(np.float64))
            found = {"external": trace.external.astype(np.float64), "from_h": through_U}
        for s, other in enumerate(cell.states):
            if j in links.within[s]:
                found[f"from_{other}_now{suffix}"] = steps[other].total[j]
        own = cell.direct[0] if state == memory else f"from_{state}{'' if j else '_prev'}"
        for s, other in enumerate(cell.states):
            if j in links.direct[s]:
                name = own if s == j or j in links.within[s] else f"from_{other}_to_{state}"
                found[name] = found.get(name, 0) + of_next(steps[other].dprev[j])
        if state == memory and trace.peepholes:
            seen, p = trace.blocks(dxw), np.asarray(trace.weights.p, np.float64)
            parts = [seen[gate] * row for gate, row in zip(cell.rows, p, strict=True) if gate != "o"]
            found["from_peephole"] = of_next(sum(parts, zero))
            found[own] = found[own] - found["from_peephole"]
        found[f"held_{state}"] = of_next(trace.arrays[f"d{state}"].astype(np.float64), masked)
        terms[f"d{state}"] = tuple(found)
        arrays |= found
    hold = np.zeros(real.shape, bool)
    hold[:, :-1] = (masked & flows)[:, 1:]  # the next step hands its gradient through
    return Ledger(trace, terms, _routes(trace, terms, arrays, hold), arrays, dstate, dxw, dhu)


def _alone(trace: Recording) -> tuple[dict[str, Array], dict[str, StepGradients]]:
    """For each state, its gradient as the step is told it (B, T, H), and what the step makes of it alone."""
    states, links = trace.cell.states, links_of(trace.cell)
    dstate, steps = dict[str, Array](), dict[str, StepGradients]()
    for j in links.order:
        now = (steps[states[s]].total[j] for s in links.order if j in links.within[s])
        dstate[states[j]] = trace.arrays[f"d{states[j]}"].astype(np.float64) - sum(now)
        steps[states[j]] = trace.step_back({states[j]: dstate[states[j]]})
    return dstate, steps


def _routes(
    trace: Recording, terms: dict[str, tuple[str, ...]], arrays: dict[str, Array], hold: Array
) -> dict[str, Array]:
    """The parts of the memory's gradient, by the way on which they came."""
    memory, own = trace.memory, trace.cell.direct
    words = {"external": "loss", "from_h": "recurrent weights", "from_peephole": "peepholes", own[0]: own[1]}
    found = dict[str, Array]()
    for state in dict.fromkeys((trace.states[0], memory)):
        for term in terms[f"d{state}"]:
            if term[:5] == "held_" or (term[:8] == "external" and state != "h") or term == "from_h_now":
                continue
            part = _carried(arrays[term], hold)
            if state != memory:
                part = _carried(trace.step_back({state: part}).total[trace.states.index(memory)], hold)
            found[words.get(term, term.replace("_", " "))] = part
    return found


def _products(inputs: Array, d: Array) -> tuple[Array, float]:
    """(T, nH): <inputs_t' d_t, G> of each step t and column, G the sum of inputs_t' d_t over the steps.

    Over the square of G's largest entry, which is given too. inputs (B, T, m), d (B, T, nH).
    """
    inputs = inputs.astype(np.float64)
    total = np.tensordot(inputs, d, ((0, 1), (0, 1)))  # (m, nH)
    size = float(np.abs(total).max(initial=0))
    if size == 0:
        return np.zeros(d.shape[1:]), 0.0
    return ((inputs @ (total / size)) * (d / size)).sum(axis=0), size


def _carried(part: Array, hold: Array) -> Array:
    """part[t], plus what is carried to t from the steps after it through held states: (B, T, H)."""
    found = part.copy()
    for t in reversed(range(part.shape[1] - 1)):
        found[:, t] += np.where(hold[:, t, None], found[:, t + 1], 0)
    return found
