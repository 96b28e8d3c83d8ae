"""A step followed once with symbols in place of arrays: the graph of what it computes from which numbers.

`Symbol` is what `forward` gets here in place of an array. A Dual of Symbols (see `dual`) leaves the graph of
the local derivatives, too. A function that is not in the tables raises `UnknownError`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from minilstm.cells.dual import UnknownError

Node = tuple[Any, ...]  # an operation and the numbers of the nodes it is of; ("number", 0.5), ("z", 2), ...
INFIX = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}
PLAIN = {  # by the names that `compiled.vectors` has for them
    **{getattr(np, name): name for name in INFIX},
    **{getattr(np, name): name for name in ("exp", "tanh", "sqrt", "less", "less_equal", "equal")},
    **{getattr(np, name): name for name in ("log", "log1p", "expm1", "sin", "cos", "sinh", "cosh", "arctan")},
}
REWRITTEN: dict[Any, Callable[..., Any]] = {
    np.negative: lambda a: -1.0 * a,
    np.positive: lambda a: a,
    np.square: lambda a: a * a,
    np.reciprocal: lambda a: 1.0 / a,
    np.greater: lambda a, b: np.less(b, a),
    np.greater_equal: lambda a, b: np.less_equal(b, a),
    np.not_equal: lambda a, b: 1.0 - np.equal(a, b),
    np.logical_not: lambda a: 1.0 - a,
    np.invert: lambda a: 1.0 - a,
    np.logical_and: lambda a, b: a * b,
    np.bitwise_and: lambda a, b: a * b,
    np.logical_or: lambda a, b: a + b - a * b,
    np.bitwise_or: lambda a, b: a + b - a * b,
    np.absolute: lambda a: np.where(a < 0, -1.0 * a, a),
    np.maximum: lambda a, b: np.where(a < b, b, a),
    np.minimum: lambda a, b: np.where(a < b, a, b),
}
TRUTHS = {np.logical_not, np.invert, np.logical_and, np.bitwise_and, np.logical_or, np.bitwise_or}


class Graph:
    """Nodes, each once; a node is known by its number. A truth is 1.0 or 0.0."""

    def __init__(self, dtype: Any) -> None:
        self.dtype, self.nodes, self.numbers = np.dtype(dtype), list[Node](), dict[Node, int]()

    def add(self, *node: Any) -> int:
        if node not in self.numbers:
            self.numbers[node] = len(self.nodes)
            self.nodes.append(node)
        return self.numbers[node]

    def number(self, value: float) -> int:
        return self.add("number", repr(float(value)))

    def apply(self, name: str, *inputs: int) -> int:
        values = [float(self.nodes[k][1]) if self.nodes[k][0] == "number" else None for k in inputs]
        known = [value for value in values if value is not None]
        if len(known) == len(values):
            with np.errstate(all="ignore"):
                found = np.where(*known) if name == "where" else getattr(np, name)(*known)
            return self.number(float(found))
        if name == "where" and values[0] is not None:
            return inputs[1] if values[0] else inputs[2]
        if name in ("add", "subtract", "multiply", "divide"):
            neutral = 0.0 if name in ("add", "subtract") else 1.0
            if values[1] == neutral:
                return inputs[0]
            if values[0] == neutral and name in ("add", "multiply"):
                return inputs[1]
        return self.add(name, *inputs)

    def truth(self, k: int) -> bool:
        """Whether a node is 1.0 or 0.0."""
        name, *inputs = self.nodes[k]
        if name == "number":
            return float(inputs[0]) in (0.0, 1.0)
        if name in ("multiply", "subtract", "add"):
            return all(self.truth(one) for one in inputs)
        return name in ("less", "less_equal", "equal")


class Symbol(NDArrayOperatorsMixin):
    """In place of an array (N, H), one node, or of (N, nH), one for each block."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, graph: Graph, shape: tuple[int, int], nodes: tuple[int, ...]) -> None:
        self.graph, self.block, self.nodes = graph, shape, nodes

    @property
    def shape(self) -> tuple[int, int]:
        return self.block[0], self.block[1] * len(self.nodes)

    @property
    def dtype(self) -> Any:
        return self.graph.dtype

    @property
    def ndim(self) -> int:
        return 2

    @property
    def size(self) -> int:
        return self.shape[0] * self.shape[1]

    @property
    def real(self) -> Symbol:
        return self

    def __len__(self) -> int:
        return self.block[0]

    def astype(self, *_: Any, **__: Any) -> Symbol:
        return self

    def copy(self) -> Symbol:
        return self

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise UnknownError("an array of it")

    def __bool__(self) -> bool:
        raise UnknownError("a truth value")

    def __getattr__(self, name: str) -> Any:
        raise UnknownError(name)

    def __getitem__(self, key: Any) -> Symbol:
        start, stop, _ = key[-1].indices(self.shape[-1])  # as `Dual` asks for it
        first, last = start // self.block[1], stop // self.block[1]
        return Symbol(self.graph, self.block, self.nodes[first:last])

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if any(type(one).__array_ufunc__ is not Symbol.__array_ufunc__ for one in inputs if _foreign(one)):
            return NotImplemented
        if method != "__call__" or options:
            raise UnknownError(f"np.{ufunc.__name__}")
        if ufunc is np.power:
            return self._power(*inputs)
        if ufunc in TRUTHS and not all(self._is_truth(one) for one in inputs):
            raise UnknownError(f"np.{ufunc.__name__}")
        if ufunc in REWRITTEN:
            return REWRITTEN[ufunc](*inputs)
        if ufunc not in PLAIN:
            raise UnknownError(f"np.{ufunc.__name__}")
        return self._apply(PLAIN[ufunc], *inputs)

    def _is_truth(self, one: Any) -> bool:
        return not isinstance(one, Symbol) or all(map(self.graph.truth, one.nodes))

    def _power(self, base: Any, exponent: Any) -> Any:
        if isinstance(exponent, Symbol):
            raise UnknownError("np.power of an array")
        value, found = self._number(exponent), base
        if value not in (1, 2, 3, 4):
            return self._apply("sqrt", base) if value == 0.5 else self._apply("power", base, value)
        for _ in range(int(value) - 1):
            found = found * base
        return found

    def _apply(self, name: str, *inputs: Any) -> Symbol:
        width = max(len(one.nodes) for one in inputs if isinstance(one, Symbol))
        columns = []
        for one in inputs:
            nodes = one.nodes if isinstance(one, Symbol) else (self.graph.number(self._number(one)),)
            if len(nodes) not in (1, width) or (len(nodes) < width and isinstance(one, Symbol)):
                raise UnknownError("arrays of different widths")
            columns.append(nodes if len(nodes) == width else nodes * width)
        found = tuple(self.graph.apply(name, *nodes) for nodes in zip(*columns, strict=True))
        return Symbol(self.graph, self.block, found)

    def _number(self, one: Any) -> float:
        """`one` as a number; an array of one number throughout may be it too, but no other."""
        values = np.asarray(one)
        if values.dtype.kind not in "bif" or values.size == 0 or (values != values.flat[0]).any():
            raise UnknownError("an array of constants")
        return float(values.flat[0])

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        if not all(issubclass(one, (Symbol, np.ndarray)) for one in types):
            return NotImplemented
        if function is np.ndim:
            return self.ndim
        if function in (np.zeros_like, np.ones_like, np.full_like):
            value = args[1] if function is np.full_like else float(function is np.ones_like)
            node = self.graph.number(self._number(value))
            return Symbol(self.graph, self.block, (node,) * len(self.nodes))
        if function is not np.where or len(args) != 3 or not self._is_truth(args[0]):
            raise UnknownError(f"np.{function.__name__}")
        return self._apply("where", *args)


def _foreign(one: Any) -> bool:
    return hasattr(type(one), "__array_ufunc__") and not isinstance(one, (np.ndarray, np.generic))
