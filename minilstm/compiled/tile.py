"""Matrix products of our own: a block of the result stays in the processor's registers while it is summed.

Every product here is  C (m, NR) [+]= A (m, K) B (K, NR),  where NR numbers are two vector registers (16
float32 with AVX). A tile works on at most six rows of it (twelve where there are 32 registers):

                        B (K, NR), a panel
                        +--------+--------+
             row k  ->  |   b0   |   b1   |      two registers
                        +--------+--------+
                             |        |
     A (m, K)                v        v
        k               +--------+--------+
     +--+--+            |  c00   |  c01   |      c00 += a0 b0    c01 += a0 b1
     |a0|  |   ------>  |  c10   |  c11   |      c10 += a1 b0    c11 += a1 b1
     |a1|  |            |  c20   |  c21   |      ...
     |a2|  |            |  c30   |  c31   |
     |a3|  |            |  c40   |  c41   |      twelve accumulators, two registers for b0 and b1, and one
     |a4|  |            |  c50   |  c51   |      that holds a number of A in each place: 15 of 16
     |a5|  |            +--------+--------+
     +--+--+                C (m, NR)

For each k the processor loads two vectors of B and one number from each of six rows of A, and multiplies
and adds twelve times: 8 loads for 12 multiply-adds, so it is the multiply-adds that take the time, two per
cycle; with one row it would be 3 loads for 2. Twelve accumulators are also what their latency asks for: each
multiply-add waits four cycles for the one before in the same register, and in that time eight others start.
With a row more some would have to wait in memory ("spill"); a test reads the assembly to see that none does.

A core that runs a second program at the same time (simultaneous multithreading) has about three places a
cycle for ours: 18 in the six cycles of those twelve multiply-adds. Each number that only counts or points
takes one of them, so a turn of the loop is four k long, B's rows follow each other, and rows of A are reached
from one pointer by distances in registers: 22 places for each k. Left to itself LLVM adds from row to row,
29 for each k, with which training steps took up to 1.2 times as long; `opaque` keeps it from that.

Rows of A may stand any distance apart, and so may its columns: the same tile multiplies by A and by its
transpose. B's numbers come in panels of NR columns, so that they are read one after the other. The sum over
k may come in `parts` of `depth` (one for each gate), whose operands stand any distance apart.

One row of A, the batch of one sample, has 2 accumulators in a panel, too few; so four panels at a time.

**Order.** Each number of C is one chain of multiply-adds, k after k, whatever the block of rows, the number
of panels at a time, and the cut of the sum below. So a sample's results do not depend on its batch, bit for
bit.

The tile is built as LLVM instructions (`build_tile`), because Numba's loops do not keep a block in registers.
`product` walks over panels and blocks of rows. It is compiled once for float32 and once for float64, and
kernels call it by name: Numba would compile it, tiles and all, into each helper and each kernel that calls
it. A panel of B stays in the first-level cache (32 KB) meanwhile: a sum is cut into pieces of at most `DEPTH`
terms, which take 19 KB of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numpy.lib.stride_tricks import as_strided

from minilstm.compiled.jit import REGISTERS, instruction, lanes
from minilstm.compiled.vectors import (
    at,
    load_vector,
    multiply_add,
    prefetch,
    repeat,
    splat,
    store_vector,
    vector_type,
)
from minilstm.foundations.arrays import Array

ROWS = 12 if REGISTERS == 32 else 6  # of C in a tile
PANELS = 4  # of B at a time, where there is one row
TURN = 4  # k in a turn of a tile's loop
POINTER = 6  # rows of A that are reached from one pointer
DEPTH = 300  # terms of a sum between reading and writing C

WORD = ir.IntType(64)
STRIDES = ("c_row", "c_panel", "a_row", "a_step", "a_part", "b_part", "b_panel")  # in numbers
SIZES = ("depth", "parts", "add", "ahead")

AHEAD = 8192 // 4  # numbers of B; 8 KB of float32
LARGE = 4_000_000  # bytes of all of B beyond which it comes from so far that asking early pays


def loop(builder: Any, count: Any, values: list[Any], turn: Callable[[list[Any]], list[Any]]) -> list[Any]:
    """LLVM's loop: the values after `count` turns, 0 or more, each of which gives those of the next."""
    before, body = builder.block, builder.append_basic_block("turn")
    end = builder.append_basic_block("end")
    builder.cbranch(builder.icmp_signed(">", count, WORD(0)), body, end)
    builder.position_at_end(body)
    now = [builder.phi(value.type) for value in (count, *values)]
    left = builder.sub(now[0], WORD(1))
    found = [left, *turn(now[1:])]
    last = builder.block
    for phi, start, value in zip(now, (count, *values), found, strict=True):
        phi.add_incoming(start, before)
        phi.add_incoming(value, last)
    builder.cbranch(builder.icmp_signed(">", left, WORD(0)), body, end)
    builder.position_at_end(end)
    after = [builder.phi(value.type) for value in values]
    for phi, start, value in zip(after, values, found[1:], strict=True):
        phi.add_incoming(start, before)
        phi.add_incoming(value, last)
    return after


def opaque(builder: Any, value: Any) -> Any:
    """`value`, of which LLVM forgets how it was computed: no instruction."""
    return builder.asm(ir.FunctionType(value.type, [value.type]), "", "=r,0", [value], False)


def build_tile(module: Any, dtype: str, rows: int, panels: int) -> Any:
    """The LLVM function  C[panel] (rows, NR) [+]= A (rows, K) B[panel] (K, NR)  for all its `panels`.

    K is `parts` times `depth`, both at least 1. With `add` it begins with what C holds, else with 0.
    For each k it asks for what lies `ahead` numbers behind B's row; not with several panels, where the
    requests would wait in line with the loads.
    """
    name = f"minilstm_tile_{dtype}_{rows}x{panels}"
    if name in module.globals:
        return module.globals[name]
    whole = vector_type(dtype)
    vector = ir.VectorType(whole.element, whole.count // 2)  # one register
    pointer = vector.element.as_pointer()
    names = ("c", "a", "b", *STRIDES, *SIZES)
    kind = ir.FunctionType(ir.VoidType(), [pointer] * 3 + [WORD] * (len(names) - 3))
    function = ir.Function(module, kind, name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    given = dict(zip(names, function.args, strict=True))
    places = [(row, panel, half) for row in range(rows) for panel in range(panels) for half in range(2)]

    builder = ir.IRBuilder(function.append_basic_block("entry"))

    def place_of_c(row: int, panel: int, half: int) -> Any:
        start = builder.add(
            builder.mul(WORD(panel), given["c_panel"]), builder.mul(WORD(row), given["c_row"])
        )
        return builder.gep(given["c"], [builder.add(start, WORD(half * vector.count))])

    def step(values: list[Any]) -> list[Any]:
        """One k: the sums, and the places of the next k in A and B."""
        sums, of_a, b = values[: len(places)], values[len(places) : -1], values[-1]
        row_of_b = {}
        for panel in range(panels):
            at = builder.gep(b, [builder.mul(WORD(panel), given["b_panel"])])
            for half in range(2):
                there = builder.gep(at, [WORD(half * vector.count)])
                row_of_b[panel, half] = load_vector(builder, there, vector)
        found: list[Any] = []
        for row in range(rows):
            there = of_a[row // POINTER]
            if row % POINTER:
                there = builder.gep(there, [to_row[row % POINTER]])
            number = repeat(builder, builder.load(there), vector)
            for panel in range(panels):
                for half in range(2):
                    total = sums[len(found)]
                    found.append(multiply_add(builder, number, row_of_b[panel, half], total))
        following = [opaque(builder, builder.gep(a, [given["a_step"]])) for a in of_a]
        return [*found, *following, builder.gep(b, [WORD(whole.count)])]

    def steps(values: list[Any]) -> list[Any]:
        """A turn of the loop."""
        if panels == 1:
            with builder.if_then(builder.icmp_signed("!=", given["ahead"], WORD(0))):
                for k in range(TURN):
                    there = builder.add(given["ahead"], WORD(k * whole.count))
                    prefetch(builder, builder.gep(values[-1], [there]))
        for _ in range(TURN):
            values = step(values)
        return values

    def part(values: list[Any]) -> list[Any]:
        *_, b = values
        of_a = values[len(places) : -1]
        values = loop(builder, builder.udiv(given["depth"], WORD(TURN)), values, steps)
        values = loop(builder, builder.urem(given["depth"], WORD(TURN)), values, step)
        following = [builder.gep(a, [given["a_part"]]) for a in of_a]
        return [*values[: len(places)], *following, builder.gep(b, [given["b_part"]])]

    to_row = [opaque(builder, builder.mul(WORD(row), given["a_row"])) for row in range(min(rows, POINTER))]
    of_a = [
        builder.gep(given["a"], [builder.mul(WORD(row), given["a_row"])]) for row in range(0, rows, POINTER)
    ]
    entry = builder.block
    with builder.if_then(builder.icmp_signed("!=", given["add"], WORD(0))):
        held = [load_vector(builder, place_of_c(*place), vector) for place in places]
        adding = builder.block
    first = []
    for value in held:
        phi = builder.phi(vector)
        phi.add_incoming(splat(vector, 0.0), entry)
        phi.add_incoming(value, adding)
        first.append(phi)
    found = loop(builder, given["parts"], [*first, *of_a, given["b"]], part)[: len(places)]
    for place, value in zip(places, found, strict=True):
        store_vector(builder, value, place_of_c(*place))
    builder.ret_void()
    return function


def _tile_in_numpy(
    rows: int, panels: int, c: Array, a: Array, b: Array, c_row: int, c_panel: int, a_row: int, a_step: int,
    a_part: int, b_part: int, b_panel: int, depth: int, parts: int, add: int, ahead: int,
) -> None:  # fmt: skip
    def view(array: Array, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
        assert sum((n - 1) * s for n, s in zip(shape, strides, strict=True)) < array.size
        return as_strided(array, shape, [stride * array.itemsize for stride in strides])

    NR = lanes(c.dtype)
    left = view(a, (rows, parts, depth), (a_row, a_part, a_step))
    right = view(b, (panels, parts, depth, NR), (b_panel, b_part, NR, 1))
    out = view(c, (panels, rows, NR), (c_panel, c_row, 1))
    found = left.reshape(rows, -1) @ right.reshape(panels, -1, NR)
    out[...] = out + found if add else found


@instruction(_tile_in_numpy)
def tile(
    typing_context: Any, rows: Any, panels: Any, c: Any, a: Any, b: Any, c_row: Any, c_panel: Any, a_row: Any,
    a_step: Any, a_part: Any, b_part: Any, b_panel: Any, depth: Any, parts: Any, add: Any,
    ahead: Any,
) -> Any:  # fmt: skip
    """`build_tile` for 1 ... ROWS rows and a panel, or a row and PANELS panels; c, a, b as from `at`.

    `ahead`: 0, or how far ahead to ask for B.
    """
    number, dtype = types.intp, str(c.dtype)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        rows, panels, *given = args
        done = builder.append_basic_block("done")
        with builder.if_then(builder.icmp_signed(">", panels, WORD(1))):
            builder.call(build_tile(builder.module, dtype, 1, PANELS), given)
            builder.branch(done)
        choice = builder.switch(rows, done)
        for count in range(1, ROWS + 1):
            block = builder.append_basic_block(f"rows_{count}")
            choice.add_case(WORD(count), block)
            builder.position_at_end(block)
            builder.call(build_tile(builder.module, dtype, count, 1), given)
            builder.branch(done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return types.void(number, number, c, a, b, *[number] * 11), generate


def product_code(
    m: int, panels: int, c: Array, a: Array, b: Array, c_row: int, c_panel: int, a_row: int, a_step: int,
    a_part: int, NR: int, b_part: int, b_panel: int, depth: int, parts: int, add: int, ahead: int,
) -> None:  # fmt: skip
    count = (m + ROWS - 1) // ROWS  # blocks of rows, of even size: 16 = 6 + 5 + 5
    wide = PANELS if m == 1 else 1
    pieces = (depth + DEPTH - 1) // DEPTH  # of the sum, of even size too: one after the other
    together = max(1, DEPTH // depth) if pieces == 1 else 1  # parts
    panel = 0
    while panel < panels:
        width = wide if panels - panel >= wide else 1
        for part in range(0, parts, together):
            for piece in range(pieces):
                start, stop = piece * depth // pieces, (piece + 1) * depth // pieces
                at_a = part * a_part + start * a_step
                at_b = panel * b_panel + part * b_part + start * NR
                for block in range(count):
                    row, end = block * m // count, (block + 1) * m // count
                    tile(
                        end - row, width, at(c, panel * c_panel + row * c_row), at(a, at_a + row * a_row),
                        at(b, at_b), c_row, c_panel, a_row, a_step, a_part, b_part, b_panel,
                        stop - start, min(together, parts - part), add + part + piece, ahead,
                    )  # fmt: skip
        panel += width


def symbol(dtype: Any) -> str:
    """The name by which kernels call the machine code of `product`."""
    return f"minilstm_product_{dtype}"


def signature(number: Any) -> Any:
    """Of that code, for operands of such numbers, a type of Numba's."""
    place = types.CPointer(number)
    return types.void(types.intp, types.intp, place, place, place, *[types.intp] * 12)


@instruction(product_code)
def product(
    typing_context: Any, m: Any, panels: Any, c: Any, a: Any, b: Any, c_row: Any, c_panel: Any, a_row: Any,
    a_step: Any, a_part: Any, NR: Any, b_part: Any, b_panel: Any, depth: Any, parts: Any, add: Any,
    ahead: Any,
) -> Any:  # fmt: skip
    """C[panel] (m, NR) [+]= A (m, K) B[panel] (K, NR) for each panel; K = parts * depth. c, a, b from `at`.

    Row r of C[panel] begins at number r * c_row + panel * c_panel of c. For k, step s of part p: A's number
    in row r is r * a_row + s * a_step + p * a_part of a, and B[panel]'s row begins at number
    panel * b_panel + s * NR + p * b_part of b. With `add` the sum begins with what C holds. For each k
    it asks for what lies `ahead` numbers behind B's row; 0 where that would not pay (see LARGE).

    This is a call by a name that the process must know before (`entry_points.provide_product`).
    """

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [value.type for value in args])
        code = cgutils.get_or_insert_function(builder.module, kind, symbol(c.dtype))
        builder.call(code, args)
        return context.get_dummy_value()

    return signature(c.dtype), generate
