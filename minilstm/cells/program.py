"""A cell's step and its derivative as the text of two functions, to be compiled: `program`.

Both are for a panel of units, sample after sample, in the words of `compiled.functions` (exp, where, ...).
Each line is a node of the graph that the cell's forward leaves when it is followed with symbols; what depends
on p alone stands before the loop over the samples. The arrays are described in `compiled.user_steps`.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple, Protocol

from minilstm.cells.dual import Dual, Source, UnknownError, UnsafeError
from minilstm.cells.local import Function, Structure, evaluated, parts_of
from minilstm.cells.symbols import INFIX, Graph, Symbol

LOADS = {
    "z": "load(z, k + {} * block)",
    "h": "load(h, r * row_h)",
    "c": "load(c, {} * layer + r * row_c)",
    "p": "load(p, {} * units)",
    "dstate": "load(d, {} * layer_d + r * row_d)",
}
SHAPES = (3, 7), (2, 11)  # (N, H), for two traces, which must be the same


class Program(NamedTuple):
    """The text of both functions, and the gates of the blocks of z, in their order.

    inputs : of the blocks that hold xw, or xw + hu;  states : of those that hold hu, or xw + hu;
    shared : how many are both, the last of inputs and the first of states
    """

    forward: str
    backward: str
    inputs: tuple[int, ...]
    states: tuple[int, ...]
    shared: int

    @property
    def blocks(self) -> int:
        """How many there are of z."""
        return len(self.inputs) + len(self.states) - self.shared

    @property
    def first_state_block(self) -> int:
        return len(self.inputs) - self.shared


class Traced(Protocol):
    """What is read of a cell."""

    @property
    def function(self) -> Function: ...
    @property
    def structure(self) -> Structure: ...


@cache
def program(cell: Traced, dtype: str) -> Program | str:
    """The two functions for arrays of that dtype, or in words what keeps the cell from being compiled."""
    if not cell.structure.dual:
        return "functions that are not known one by one"
    try:
        found = [_Writer(cell, dtype, *shape).program() for shape in SHAPES]
    except (UnknownError, UnsafeError) as error:
        return str(error)
    except Exception as error:  # whatever a function does that no symbol goes through
        return f"a {type(error).__name__} where its numbers are not known"
    return found[0] if found[0] == found[1] else "numbers that depend on the shape of its arguments"


class _Writer:
    """The graph of one trace, and its text."""

    def __init__(self, cell: Traced, dtype: str, N: int, H: int) -> None:
        structure = self.structure = cell.structure
        self.graph, shape = Graph(dtype), (N, H)
        gates = range(structure.gates)
        apart = [k for k in gates if k not in structure.shared]
        shared = [k for k in gates if k in structure.shared]
        self.inputs = (*apart, *shared)
        self.states = (*shared, *apart) if structure.recurrent else ()
        self.shared = len(shared) if structure.recurrent else 0
        z = [self.graph.add("z", k) for k in range(len(self.inputs) + len(self.states) - self.shared)]
        xw = tuple(z[self.inputs.index(k)] for k in gates)
        first, zero = len(self.inputs) - self.shared, self.graph.number(0)
        hu = tuple(zero if k in shared else z[first + self.states.index(k)] for k in gates if self.states)
        prev = [self.graph.add(*(("c", j - 1) if j else ("h",))) for j in range(structure.states)]
        rows = [self.graph.add("p", r) for r in range(structure.rows)]
        symbols = [Symbol(self.graph, shape, nodes) for nodes in (xw, hu)]
        one = [tuple(Symbol(self.graph, shape, (node,)) for node in group) for group in (prev, rows)]
        self.state, self.kept = evaluated(
            cell.function, structure, symbols[0], symbols[1], one[0], one[1] or None
        )
        self.of_state, self.of_kept = (
            [self._node(part) for part in every] for every in (self.state, self.kept)
        )

    def _node(self, part: Any) -> int:
        """The node of a Dual, a Symbol, or a number."""
        value = part.value if isinstance(part, Dual) else part
        return value.nodes[0] if isinstance(value, Symbol) else self.graph.number(float(value))

    def program(self) -> Program:
        """Both functions."""
        return Program(self._forward(), self._backward(), self.inputs, self.states, self.shared)

    def _forward(self) -> str:
        stores = [f"store(kept, k + {j} * block, {{}})" for j in range(len(self.of_kept))]
        stores += ["store(h_next, r * row_h, {})"]
        stores += [f"store(c_next, {j} * layer + r * row_c, {{}})" for j in range(len(self.of_state) - 1)]
        head = "def forward(z, kept, h, h_next, c, c_next, p, count, block, row_h, row_c, layer, units):"
        return self._text(head, {}, [*self.of_kept, *self.of_state], stores, [])

    def _backward(self) -> str:
        found, apply = parts_of(self.state), self.graph.apply
        of_dstate = [self.graph.add("dstate", s) for s in range(len(self.state))]

        def total(source: Source, *first: int) -> int:
            terms = [
                apply("multiply", of_dstate[s], self._node(found[s, source]))
                for s in range(len(self.state))
                if (s, source) in found
            ]
            result, *more = (*first, *terms) or (self.graph.number(0),)
            for term in more:
                result = apply("add", result, term)
            return result

        structure = self.structure
        results = [total(Source("xw", k)) for k in self.inputs]
        results += [total(Source("hu", k)) for k in self.states[self.shared :]]
        stores = [f"store(z, k + {i} * block, {{}})" for i in range(len(results))]
        for j in range(structure.states):
            results += [total(Source("prev", j)), total(Source("state", j), of_dstate[j])]
            stores += [f"store(before, {j} * layer_d + r * row_d, {{}})"]
            stores += [f"store(d, {j} * layer_d + r * row_d, {{}})"]
        sums = [total(Source("p", r)) for r in range(structure.rows)]
        kept = {node: f"load(kept, k + {j} * block)" for j, node in enumerate(self.of_kept)}
        sizes = "count, block, row_h, row_c, layer, row_d, layer_d, units"
        head = f"def backward(z, kept, h, c, d, before, p, dp, {sizes}):"
        return self._text(head, kept, results, stores, sums)

    def _text(
        self, head: str, known: dict[int, str], results: list[int], stores: list[str], sums: list[int]
    ) -> str:
        """The function: what depends on p alone, for each sample the nodes in their order, then `stores`."""
        before, inside, done = list[str](), list[str](), dict[int, bool]()

        def word(k: int) -> str:
            name, *rest = self.graph.nodes[k]
            return f"({rest[0]})" if name == "number" else f"v{k}"

        def write(k: int) -> bool:
            """Whether it depends on p alone."""
            name, *rest = self.graph.nodes[k]
            if name == "number":
                return True
            if k not in done:
                if name in LOADS:
                    line, alone = LOADS[name].format(*rest), name == "p"
                elif k in known:
                    line, alone = known[k], False
                else:
                    of_p = [write(one) for one in rest]
                    alone, words = all(of_p), [word(one) for one in rest]
                    line = f" {INFIX[name]} ".join(words) if name in INFIX else f"{name}({', '.join(words)})"
                (before if alone else inside).append(f"v{k} = {line}")
                done[k] = alone
            return done[k]

        for node in (*results, *sums):
            write(node)
        ends = [store.format(word(node)) for store, node in zip(stores, results, strict=True)]
        added = [f"s{r} = s{r} + {word(node)}" for r, node in enumerate(sums)]
        before += [f"s{r} = load(dp, {r} * units)" for r in range(len(sums))]
        after = [f"store(dp, {r} * units, s{r})" for r in range(len(sums))]
        loop = ["k = r * NR", *inside, *ends, *added]
        lines = [*before, "for r in range(count):", *(f"    {line}" for line in loop), *after]
        return "\n".join([head, *(f"    {line}" for line in lines)]) + "\n"
