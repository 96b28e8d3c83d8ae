"""The compiled step loop against the oracle, its activations against exact values, its cache when damaged.

All of this file passes with NUMBA_DISABLE_JIT=1 too, where the kernels' Python forms run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import engine_cases as body
import numpy as np
import oracle
import pytest
from conftest import require
from numba import njit
from tolerances import PARITY, ULPS, check

from minilstm.bptt.cell import Weights
from minilstm.bptt.engine import PLAIN
from minilstm.bptt.gru import GRUCell
from minilstm.bptt.lstm import LSTMCell
from minilstm.bptt.pieces import step_norms
from minilstm.bptt.simple_rnn import SimpleRNNCell
from minilstm.compiled import kernels, memory
from minilstm.norms import norm

INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
ROOT = Path(__file__).resolve().parents[2]
LIMIT = {"float32": 87, "float64": 708}
DTYPES = ["float32", "float64"]
CELLS = {"lstm": LSTMCell(), "gru": GRUCell(), "simple_rnn": SimpleRNNCell()}

on_cases = pytest.mark.parametrize("shape", body.CASES, ids=body.IDS)
of_the_polynomials = pytest.mark.skipif(INTERPRETED, reason="the Python form of exp is not as accurate")
on_dtypes = pytest.mark.parametrize("dtype", DTYPES)


@pytest.fixture(scope="module")
def apply():
    """The kernels' sigmoid and tanh as functions array -> array."""

    in_place = {name: njit(**kernels.OPTIONS)(getattr(kernels, name)) for name in ("sigmoid", "tanh")}

    def sigmoid(values):
        out = values.copy()
        in_place["sigmoid"](out, values.dtype.type(LIMIT[values.dtype.name]))
        return out

    def tanh(values):
        out = values.copy()
        in_place["tanh"](out)
        return out

    return {"sigmoid": sigmoid, "tanh": tanh}


# ------------------------------------------------------------------------------ segments


@on_cases
@on_dtypes
def test_forward_is_the_oracle_s(shape, dtype):
    body.check_forward(memory, shape, dtype)


@on_cases
@on_dtypes
def test_backward_is_the_complex_step_s(shape, dtype):
    body.check_backward(memory, shape, dtype)


@on_cases
def test_overwrite_changes_nothing(shape):
    body.check_overwrite(memory, shape)


@on_cases
def test_optional_parts(shape):
    body.check_optional_parts(memory, shape)


@on_cases
def test_without_keep(shape):
    body.check_without_keep(memory, shape)


def test_nan_stays_in_its_row():
    body.check_nan_stays_in_its_row(memory)


@on_cases
def test_inputs_are_untouched(shape):
    body.check_inputs_untouched(memory, shape)


@pytest.mark.parametrize("b", [1, 15, 16, 17, 33])
@pytest.mark.parametrize("mask", ["none", "random"])
def test_sizes_around_the_chunk(b, mask):
    """Kernels and NumPy agree at and around 16 samples, and at sizes that fill no vector register."""
    case = oracle.draw(np.random.default_rng(b), 3, b, 3, 5, mask)
    _, found = body.passes(memory, case)
    _, expected = body.passes(PLAIN, case)
    for name in ("dW", "dU", "db", "dx", "dz", "dh", "dc"):
        check(getattr(found, name), getattr(expected, name), 1e-12, what=name)


@pytest.mark.parametrize(
    "sizes",
    [(17, 16, 11, 40), (3, 16, 30, 150), (2, 17, 5, 257), (2, 1, 40, 300), (2, 16, 700, 33), (3, 16, 1, 512)],
)
@pytest.mark.parametrize("mask", ["none", "random"])
@on_dtypes
def test_sizes_whose_products_are_cut(sizes, mask, dtype):
    """One product would leave the BLAS's quick path: tiles of steps, or panels that do not fill up."""
    T, b, D, H = sizes
    case = oracle.draw(np.random.default_rng(H), T, b, D, H, mask)
    case = case._replace(W=case.W / np.sqrt(D))
    _, expected = body.passes(PLAIN, case)
    _, found = body.passes(memory, body.as_dtype(case, dtype))
    for name in ("dW", "dU", "db", "dx", "dz", "dh", "dc"):
        check(getattr(found, name), getattr(expected, name), PARITY[dtype], what=name)


def test_gates_saturate_without_warning_or_nan():
    """Pre-activations of +-1e30 close and open the gates; nothing overflows."""
    case = oracle.draw(np.random.default_rng(0), 3, 2, 2, 3)
    case = case._replace(x=case.x * 1e30)
    segment, found = body.passes(memory, case)
    assert np.isfinite(segment.h).all()
    assert np.isfinite(found.dW).all()
    gates = segment.gates
    assert set(np.unique(gates.round(6))) <= {-1.0, 0.0, 1.0}


@pytest.mark.parametrize("B", [1, 15, 16, 17, 32, 33, 40, 100])
@pytest.mark.parametrize(
    ("weight_bytes", "parallel", "most"), [(1, True, 16), (9e6, True, 32), (1, False, 32)]
)
def test_chunks_are_even_and_small(B, weight_bytes, parallel, most):
    pieces = memory.chunks(B, weight_bytes, parallel)
    sizes = [piece.stop - piece.start for piece in pieces]
    assert [row for piece in pieces for row in range(piece.start, piece.stop)] == list(range(B))
    assert max(sizes) <= most
    assert max(sizes) - min(sizes) <= 1
    assert len(pieces) >= 2 or not parallel or B <= 16  # two threads have work


@pytest.mark.parametrize(
    ("rows", "K", "H"), [(16, 75, 64), (16, 257, 128), (32, 513, 256), (16, 1025, 512), (32, 9, 40)]
)
def test_panels_hold_the_weights_and_keep_products_small(rows, K, H):
    rng, D = np.random.default_rng(0), max(1, K - H - 1)
    W, U, b = (rng.normal(size=size) for size in ((D, 4 * H), (H, 4 * H), 4 * H))
    packed = memory.Packed(body.LSTM, Weights(W, U, b), rows)
    for panels in (packed.w, packed.ut):
        width = panels.shape[3]
        assert rows * panels.shape[2] * width <= kernels.SMALL or width == 32
        assert width == H or width & (width - 1) == 0

    def joined(panels):
        return panels.transpose(0, 2, 1, 3).reshape(4, panels.shape[2], -1)[:, :, :H]

    gates = np.concatenate([U, b[None], W]).reshape(-1, 4, H).transpose(1, 0, 2)
    np.testing.assert_array_equal(joined(packed.w), gates)
    np.testing.assert_array_equal(joined(packed.ut), gates[:, :H].transpose(0, 2, 1))
    np.testing.assert_array_equal(packed.wt, gates[:, H + 1 :].transpose(0, 2, 1))


@pytest.mark.parametrize("b", [1, 16, 32])
@pytest.mark.parametrize(("K", "H"), [(75, 64), (257, 128), (513, 256), (267, 256), (1025, 512)])
def test_products_of_the_weight_gradient_are_small_or_large(b, K, H):
    steps, block = memory.weight_tiles(b, K, H)
    small = steps * b * block * H <= kernels.SMALL
    assert small or (steps * b >= 1000 and block == K)
    assert steps * b >= 64  # the gradient is not read and written too often


@pytest.mark.parametrize("shape", [(1,), (3, 5), (4, 2, 75, 64)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrays_begin_at_a_page(shape, dtype):
    array = memory.empty(shape, dtype)
    assert array.shape == shape
    assert array.dtype == dtype
    assert array.ctypes.data % (4096 if array.nbytes >= 4096 else 64) == 0


@pytest.mark.skipif(INTERPRETED, reason="there are no vectors without the compiler")
def test_activations_use_the_widest_vectors():
    """`wide_vectors` asks LLVM through an attribute that llvmlite does not list; here is what it is for."""
    from llvmlite.binding import get_host_cpu_features

    sigmoid = njit(**kernels.OPTIONS)(kernels.sigmoid)
    sigmoid(np.zeros(64, np.float32), np.float32(87))
    found = "zmm" in "".join(sigmoid.inspect_asm().values())  # registers of 512 bits
    assert found == get_host_cpu_features().get("avx512f", False)


@pytest.mark.skipif(INTERPRETED, reason="there are no reference counts without the compiler")
def test_kernels_count_no_references():
    """The option is private to Numba: without it kernels still work, but slower."""
    assert "_nrt" in kernels.OPTIONS
    found = {}
    for counting, options in ((False, kernels.OPTIONS), (True, {})):
        put_input = njit(**options)(kernels.put_input)
        put_input(np.zeros((2, 4), np.float32), np.zeros((2, 2), np.float32))
        found[counting] = "NRT_incref" in "".join(put_input.inspect_llvm().values())
    assert found == {False: False, True: True}


def test_a_view_is_what_reshape_gives():
    """It is put together from private parts of Numba."""

    def views(values, n):
        return (
            kernels.reshaped(values, (n, 4)),
            kernels.reshaped(values[1:], (2, 1, 20)),
            kernels.reshaped(values, (4 * n,)),
        )

    values = np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float32)
    expected = values.reshape(15, 4), values[1:].reshape(2, 1, 20), values.ravel()
    for found, same in zip(njit(views)(values, 15), expected, strict=True):
        np.testing.assert_array_equal(found, same)
        assert found.strides == same.strides
        assert found.ctypes.data == same.ctypes.data


def test_options_without_the_private_one(monkeypatch):
    monkeypatch.setattr(kernels, "CPUTargetOptions", object)
    assert kernels.uncounted({"nogil": True}) == {"nogil": True}


# ------------------------------------------------------------------------------ activations


def grid(dtype: str) -> np.ndarray:
    """Values of every size that matters, both signs."""
    rng = np.random.default_rng(0)
    parts = [rng.uniform(-20, 20, 3000), rng.normal(size=3000), np.linspace(-1e-3, 1e-3, 501)]
    parts += [10.0 ** rng.uniform(-30, 0, 1000), -(10.0 ** rng.uniform(-30, 0, 1000))]
    return np.concatenate(parts).astype(dtype)


def exact(name: str, values: np.ndarray) -> np.ndarray:
    """The function in extended precision."""
    require("mpmath")
    from mpmath import mp

    mp.prec = 120
    function = {"sigmoid": lambda x: 1 / (1 + mp.exp(-x)), "tanh": mp.tanh}[name]
    found = [function(mp.mpf(float(value))) for value in values]
    high = np.array([float(value) for value in found])
    low = np.array([float(value - mp.mpf(float(value))) for value in found])
    return high.astype(np.longdouble) + low.astype(np.longdouble)


def ulps(found: np.ndarray, expected: np.ndarray) -> float:
    spacing = np.spacing(np.abs(expected).astype(found.dtype)).astype(np.longdouble)
    return float((np.abs(found.astype(np.longdouble) - expected) / spacing).max())


@of_the_polynomials
@on_dtypes
@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_activations_to_a_few_ulps(apply, name, dtype):
    values = grid(dtype)
    measured = ulps(apply[name](values), exact(name, values))
    assert measured <= ULPS[dtype], measured


@of_the_polynomials
@on_dtypes
def test_closed_gates_keep_relative_accuracy(apply, dtype):
    """sigmoid(-80) is 1.8e-35, not 0: a gate that is nearly closed still has its size."""
    values = -np.linspace(1, LIMIT[dtype], 400).astype(dtype)
    found, expected = apply["sigmoid"](values), exact("sigmoid", values)
    worst = float((np.abs(found - expected) / expected).max())
    assert worst <= 2 * np.finfo(dtype).eps


@on_dtypes
def test_special_values(apply, dtype):
    special = np.array([np.nan, np.inf, -np.inf, 0.0, np.finfo(dtype).max, -np.finfo(dtype).max], dtype)
    with np.errstate(over="ignore"):
        s, t = apply["sigmoid"](special), apply["tanh"](special)
    assert np.isnan(s[0])
    assert np.isnan(t[0])
    assert s[1] == s[4] == 1
    assert s[3] == 0.5
    assert 0 <= s[2] <= np.finfo(dtype).tiny * 2
    assert s[5] == s[2]
    assert t[1:].tolist() == [1, -1, 0, 1, -1]


@on_dtypes
def test_nan_in_any_place_of_a_vector(apply, dtype):
    """The vectorised loops and their remainders let NaN through, and only there."""
    for size in (1, 7, 16, 33):
        for place in range(size):
            values = np.linspace(-3, 3, size).astype(dtype)
            values[place] = np.nan
            for function in apply.values():
                assert np.flatnonzero(np.isnan(function(values))).tolist() == [place]


# ------------------------------------------------------------------------------ norms


@on_dtypes
@pytest.mark.parametrize("H", [1, 5, 64])
def test_norms_of_rows_at_any_scale(dtype, H):
    """Rows whose squares leave the range, zeros, NaN and Inf: as `norms.norm` has them, each for itself."""
    scales = [1e-310, 1e-200, 1e200, 1e307] if dtype == "float64" else [1e-36, 1e36]
    block = np.random.default_rng(H).normal(size=(len(scales) + 5, H))
    block[: len(scales)] *= np.array(scales)[:, None]
    block[-4] = 0
    block[-3:, -1] = np.inf, -np.inf, np.inf
    block[-2:, 0] = -np.inf, np.nan
    block = block.astype(dtype)
    found = np.empty(len(block))
    with np.errstate(over="ignore"):  # of the Python form
        njit(**kernels.SUMS)(kernels.row_norms)(found, block)
    rtol = np.full(len(block), 1e-14)
    rtol[0] = 1e-12  # subnormal
    expected = norm(block, (1,))
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(found[~finite], expected[~finite])
    found, expected, rtol = found[finite], expected[finite], rtol[finite]
    assert len(found) == len(scales) + 2
    assert (np.abs(found - expected) <= rtol * expected).all()


@on_cases
@pytest.mark.parametrize("name", ["lstm", "gru", "simple_rnn"])
def test_norms_alone_are_those_of_what_is_recorded(name, shape):
    """The same gradients, bit for bit, whether nothing is recorded, everything, or norms alone."""
    case, cell = body.case_of(shape), CELLS[name]
    n = len(cell.gates)
    weights = Weights(
        case.W[:, : n * len(case.U)],
        case.U[:, : n * len(case.U)],
        case.b[: n * len(case.U)],
        rb=case.b[: n * len(case.U)] if name == "gru" else None,
    )
    states = (case.h0, case.c0)[: len(cell.states)]
    rows = [slice(0, len(case.h0))]
    packed = memory.pack(cell, weights, rows)
    found = {}
    for record in (False, True, "norms"):
        segment = memory.forward_segment(packed, case.x, case.mask, states)
        last = (case.dh_last, case.dc_last)[: len(states)]
        found[record] = memory.backward_segment(
            packed, segment, case.dh, last, need_dx=True, record=record, overwrite=True
        )
    for record in (False, "norms"):
        assert found[record].dz is None
        for ours, theirs in zip(found[record].dweights, found[True].dweights, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        for ours, theirs in zip(found[record].dstate, found[True].dstate, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    expected = step_norms(found[True].dz, found[True].dtotal)
    steps = expected.steps if case.mask is not None else norm(expected.steps, (2,))[..., None]
    np.testing.assert_allclose(found["norms"].norms.steps, steps, rtol=1e-13)
    np.testing.assert_allclose(found["norms"].norms.db, expected.db, rtol=1e-12, atol=1e-14)


# ------------------------------------------------------------------------------ compiled code and its cache

RUN = """
import warnings
import numpy as np
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from minilstm.bptt import segments
    from minilstm.bptt.cell import Weights
    from minilstm.bptt.lstm import LSTMCell
    from minilstm.compiled import engines
    rng = np.random.default_rng(0)
    D, H = 3, 4
    shapes = (D, 4 * H), (H, 4 * H), (4 * H,)
    weights = Weights(*(rng.normal(size=shape).astype("float32") * 0.5 for shape in shapes))
    x = rng.normal(size=(5, 20, D)).astype("float32")
    found = {}
    for backend in ("numba", "numpy"):
        tape = segments.forward(LSTMCell(), weights, x, engine=engines.engine_of(backend))
        found[backend] = segments.backward(weights, tape, np.ones((5, 20, H), "float32"))
for ours, theirs in zip(*([*found[b].dweights[:3], found[b].dx] for b in ("numba", "numpy"))):
    assert abs(ours - theirs).max() <= 1e-5 * abs(theirs).max()
for warning in caught:
    print(f"{warning.category.__name__}: {warning.message}")
"""


def run_python(code: str, **environment: str) -> list[str]:
    """Lines that a new Python process prints; it must succeed."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA_")}
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env=inherited | {"PYTHONPATH": path} | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def warm_cache(tmp_path_factory) -> Path:
    """A cache folder that RUN has filled."""
    folder = tmp_path_factory.mktemp("numba-cache")
    assert run_python(RUN, NUMBA_CACHE_DIR=str(folder)) == []
    assert list(folder.rglob("*.nbi"))
    assert list(folder.rglob("*.nbc"))
    return folder


slow_and_compiled = [
    pytest.mark.slow,
    pytest.mark.skipif(INTERPRETED, reason="there is no cache without the compiler"),
]


class TestCache:
    pytestmark = slow_and_compiled

    def test_second_process_reads_the_cache(self, warm_cache):
        before = {path: path.stat().st_mtime_ns for path in warm_cache.rglob("*.nb?")}
        assert run_python(RUN, NUMBA_CACHE_DIR=str(warm_cache)) == []
        assert {path: path.stat().st_mtime_ns for path in warm_cache.rglob("*.nb?")} == before

    @pytest.mark.parametrize("suffix", ["nbi", "nbc"])
    def test_damaged_cache_gives_one_warning_and_right_results(self, warm_cache, tmp_path, suffix):
        """The files of the kernels are by turns empty, cut, and garbage."""
        folder = tmp_path / "cache"
        shutil.copytree(warm_cache, folder)
        paths = sorted(folder.rglob(f"*.{suffix}"))
        assert len(paths) >= 3
        for k, path in enumerate(paths):
            content = path.read_bytes()
            path.write_bytes([b"", content[: len(content) // 2], b"\xff" * 64][k % 3])
        self.check_one_warning(run_python(RUN, NUMBA_CACHE_DIR=str(folder)))
        run_python(RUN, NUMBA_CACHE_DIR=str(folder))  # makes anew what was removed
        assert run_python(RUN, NUMBA_CACHE_DIR=str(folder)) == []

    def test_no_cache_folder_gives_one_warning_and_right_results(self, tmp_path):
        """A package folder, a home and a cache folder that nothing can be written to."""
        shutil.copytree(
            ROOT / "minilstm", tmp_path / "minilstm", ignore=shutil.ignore_patterns("__pycache__")
        )
        (tmp_path / "minilstm" / "__pycache__").write_text("a file where a folder should be")
        nowhere = str(tmp_path / "minilstm" / "__pycache__" / "below")
        folders = {"HOME": nowhere, "XDG_CACHE_HOME": nowhere, "NUMBA_CACHE_DIR": nowhere}
        lines = run_python(RUN, PYTHONPATH=str(tmp_path), PYTHONDONTWRITEBYTECODE="1", **folders)
        self.check_one_warning(lines)

    @staticmethod
    def check_one_warning(lines: list[str]) -> None:
        assert len(lines) == 1, lines
        assert lines[0].startswith("RuntimeWarning: Numba's cache cannot be used")


@pytest.mark.slow
@pytest.mark.skipif(INTERPRETED, reason="bounds are checked by compiled code")
def test_no_index_leaves_its_array(tmp_path):
    """The segment tests again, compiled with bounds checks, in a cache of their own."""
    names = "(forward_is or backward_is) and float64 or keep or overwrite or sizes_around"
    code = f"""
import sys, pytest
sys.exit(pytest.main(["-q", "-x", "-p", "no:cacheprovider", {str(Path(__file__))!r}, "-k", {names!r}]))
"""
    output = run_python(code, NUMBA_BOUNDSCHECK="1", NUMBA_CACHE_DIR=str(tmp_path))
    assert " passed" in output[-1]


@pytest.mark.slow
@pytest.mark.skipif(INTERPRETED, reason="this is the run without the compiler")
def test_all_of_this_without_the_compiler():
    code = f"""
import sys, pytest
sys.exit(pytest.main(["-q", "-x", "-p", "no:cacheprovider", {str(Path(__file__))!r}]))
"""
    output = run_python(code, NUMBA_DISABLE_JIT="1")
    assert " passed" in output[-1]


def test_without_numba_numpy_does_the_work():
    """Where Numba cannot be imported, the NumPy backend takes over after one warning that names the cause."""
    code = "import sys; sys.modules['numba'] = None" + RUN
    lines = run_python(code)
    assert len(lines) == 1, lines
    assert lines[0].startswith("RuntimeWarning: Numba cannot be used (ModuleNotFoundError")
    assert "NumPy backend does the work" in lines[0]


def test_pool_gives_back_what_fits_and_stays_within_its_limit():
    kinds = [memory.Kind("lstm", keep, 3, 2, 1, 4, np.dtype("float32")) for keep in ("end", "everything")]
    small, large = (memory.Segment(body.LSTM, kind) for kind in kinds)
    assert small.held < large.held
    pool = memory.Pool(limit=large.held + small.held - 1)
    for segment in (small, large):
        pool.give(segment)
    assert pool.nbytes == large.held  # the older kind had to go
    assert pool.take(body.LSTM, kinds[1]) is large
    assert pool.take(body.LSTM, kinds[1]) is not large
    assert pool.nbytes == 0
    narrow = memory.Pool(limit=small.held)
    for segment in (small, large):
        narrow.give(segment)
    assert narrow.take(body.LSTM, kinds[0]) is small  # what does not fit drives out nothing


def test_small_arrays_take_little_more_than_their_numbers():
    sizes = [(1,), (16, 16), (3, 1000), (4, 100, 16, 64)]
    held = [memory.empty(size, np.dtype("float32")).base.nbytes for size in sizes]
    assert all(memory <= 2 * 4 * np.prod(size) + 64 for memory, size in zip(held, sizes, strict=True))
