"""What does not fit into a cell is named when the cell is made."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from eight import lstm, sigmoid

import minilstm as ml


def tanh(xw, hu, prev, p):
    return (np.tanh(xw + hu),), ()


def changed(what):
    """`tanh` with one line before or after it."""

    def forward(xw, hu, prev, p):
        return what(xw, hu, prev, p)

    return forward


def in_place(xw, hu, prev, p):
    xw += hu
    return (np.tanh(xw),), ()


def normalised(xw, hu, prev, p):
    z = xw + hu
    return (np.tanh(z - z.mean(axis=-1, keepdims=True)),), ()


def of_the_batch(xw, hu, prev, p):
    z = xw + hu
    return (np.tanh(z - z.mean(axis=0)),), ()


def matrix(xw, hu, prev, p):
    return (np.tanh(xw + hu + prev[0] @ np.ones((prev[0].shape[1],) * 2)),), ()


def random(xw, hu, prev, p):
    return (np.tanh(xw + hu) * np.random.default_rng().random(xw.shape),), ()


def at_zero(xw, hu, prev, p):
    z = xw + hu
    with np.errstate(invalid="ignore"):
        return (z * z / z,), ()


def steep(xw, hu, prev, p):
    z = xw + hu
    return (np.where(z.real > 0, z, -z) ** 0.5,), ()


def real_part(xw, hu, prev, p):
    return (np.tanh(xw + hu) * xw.real,), ()


REFUSED = {
    "one array": (
        lambda xw, hu, prev, p: np.tanh(xw),
        r"two tuples of arrays, \(state, kept\), got an array",
    ),
    "no tuple of states": (lambda xw, hu, prev, p: (np.tanh(xw), ()), "two tuples of arrays"),
    "two states": (lambda xw, hu, prev, p: ((xw, xw), ()), "whose state is h, got 2 arrays"),
    "a state's shape": (lambda xw, hu, prev, p: ((xw[:, :1],), ()), r"state 'h' is of shape \(6, 5\)"),
    "a gate's shape": (lambda xw, hu, prev, p: ((np.tanh(xw),), (xw[:, :2],)), r"of shape \(6, 2\)"),
    "a fault": (lambda xw, hu, prev, p: 1 / 0, "got ZeroDivisionError: division by zero"),
    "three gates": (
        lambda xw, hu, prev, p: (np.split(xw, 3, axis=-1)[:1], ()),
        "got ValueError: array split",
    ),
    "of so many units": (
        lambda xw, hu, prev, p: ((np.tanh(xw + hu) * np.ones(5),), ()),
        r"here xw and hu \(5, 6\).* got ValueError: operands could not be broadcast",
    ),
    "of so large a batch": (
        lambda xw, hu, prev, p: ((np.tanh(xw + hu) * np.ones((6, 1)),), ()),
        r"here xw and hu \(5, 6\).* got ValueError: operands could not be broadcast",
    ),
    "changed": (in_place, "leaves its arguments as they are, got a changed xw_z"),
    "normalised": (normalised, "elementwise.* moves with another unit's xw_z .layer normalisation inside"),
    "of the batch": (of_the_batch, "elementwise.* moves with another sample's xw_z"),
    "matrix": (matrix, "elementwise.* moves with another unit's h_prev"),
    "random": (random, "without randomness or a memory of its own"),
    "nan": (at_zero, "finite where input and states are 0, .*got nan in h"),
    "a logarithm": (
        lambda xw, hu, prev, p: ((np.log(xw + hu),), ()),
        "finite where input and states are 0, .*got -inf in h",
    ),
    "slope": (steep, "of finite slope where input and states are 0"),
    "real": (real_part, "whose derivative complex arrays carry"),
    "abs": (
        lambda xw, hu, prev, p: ((np.tanh(abs(xw)),), ()),
        r"np.absolute: branch on .real",
    ),
    "maximum": (
        lambda xw, hu, prev, p: ((np.maximum(xw, hu),), ()),
        r"np.maximum: branch on .*a.real >= b",
    ),
    "compared": (lambda xw, hu, prev, p: ((np.where(xw > 0, xw, hu),), ()), r"np.greater: branch on .real"),
    "of the first unit": (
        lambda xw, hu, prev, p: ((np.tanh(xw + hu) if xw.real[0, 0] > 0 else hu + xw,), ()),
        "elementwise.* moves with another unit's xw_z",
    ),
    "of the largest": (
        lambda xw, hu, prev, p: ((np.tanh(xw + hu) if hu.real.max() > 4 else hu + xw,), ()),
        "elementwise.* moves with another unit's xw_z|hu_z",
    ),
    "clip": (lambda xw, hu, prev, p: ((np.clip(xw + hu, -1, 1),), ()), "np.clip: branch on .real"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_forward_that_does_not_fit(case):
    forward, words = REFUSED[case]
    with pytest.raises(ValueError, match=rf"^forward must be .*{words}"):
        ml.cell(forward, gates=["z"])


ARGUMENTS = {
    "gates twice": ({"gates": ["z", "z"]}, ValueError, r"gates must be names that differ, got \['z', 'z'\]"),
    "no gate": ({"gates": []}, ValueError, "gates must be at least one name"),
    "a number": ({"gates": 3}, TypeError, "gates must be a sequence of names, got 3"),
    "no name": ({"gates": ["a b"]}, ValueError, "gates must be names such as"),
    "without h": ({"states": ["c"]}, ValueError, "states must be names of which the first is 'h'"),
    "two of a trace": ({"kept": ["dh"]}, ValueError, "kept must be names that stand for nothing else"),
    "a state kept": ({"kept": ["h"]}, ValueError, "kept must be names that stand for nothing else"),
    "a method": ({"kept": ["norm"]}, ValueError, r"got 'norm' \(there is 'norm' already\)"),
    "a row": ({"p": ["z"]}, ValueError, "p must be names that no gate has, got 'z'"),
    "a word of Python": ({"kept": ["class"]}, ValueError, "kept must be names such as .*, got 'class'"),
    "hidden": ({"kept": ["_z"]}, ValueError, "kept must be names such as .*, got '_z'"),
    "a row's start": ({"p": {"u": "glorot"}}, ValueError, r"p\['u'\] must be .*, got 'glorot'"),
    "a row of none": ({"p": {"u": None}}, TypeError, r"p\['u'\] must be a finite number, got None"),
    "a row of nan": ({"p": {"u": np.nan}}, ValueError, r"p\['u'\] must be a finite number, got nan"),
    "a number for all": ({"bias": 1.0}, TypeError, "bias must be a dict by gate, such as .* got 1.0"),
    "infinite": ({"bias": {"z": -np.inf}}, ValueError, "bias of z must be a finite number, got -inf"),
    "bias": ({"bias": {"f": 1}}, ValueError, "bias must be a dict by gate, of z, got 'f'"),
    "lstm": ({"name": "lstm"}, ValueError, "name must be another than lstm, gru, .* got 'lstm'"),
    "mgu": ({"name": "mgu"}, ValueError, "name must be another than .* got 'mgu'"),
    "path": ({"name": "a/b"}, ValueError, "name must be a non-empty string without '/'"),
    "map": ({"recurrent_map": (np.exp, lambda dU, R: dU)}, ValueError, "recurrent_map must be a pair whose"),
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_arguments_that_cannot_be_meant(case):
    options, error, words = ARGUMENTS[case]

    def forward(xw, hu, prev, p):
        h = np.tanh(xw + hu)
        return (h,), (h,) if "kept" in options else ()

    with pytest.raises(error, match=words):
        ml.cell(forward, **({"gates": ["z"]} | options))
    with pytest.raises(TypeError, match="forward must be a function"):
        ml.cell("tanh", gates=["z"])


def test_no_name_of_a_trace_is_left_out():
    from minilstm.cells.making import TAKEN
    from minilstm.trace.trace import LayerTrace

    fields = {field.name for field in dataclasses.fields(LayerTrace)}
    assert fields | {name for name in dir(LayerTrace) if name[0] != "_"} <= TAKEN


def lstm_backward(wrong="", factor=0.5):
    def backward(dstate, prev, state, kept, p):
        (dh, dc), (_, c_prev), (_, c), (i, f, g, o) = dstate, prev, state, kept
        t = np.tanh(c)
        dc = dc + dh * o * (1 - t * t) * (factor if wrong == "total" else 1)
        dz = [dc * g * i * (1 - i), dc * c_prev * f * (1 - f), dc * i * (1 - g * g), dh * t * o * (1 - o)]
        if wrong in "ifgo" and wrong:
            dz["ifgo".index(wrong)] = dz["ifgo".index(wrong)] * factor
        dz = np.concatenate(dz, axis=-1)
        dprev = (np.zeros_like(dh), dc * f * (factor if wrong == "dprev" else 1))
        return dz, dz, dprev, (dh, dc), None

    return backward


def test_a_backward_by_hand_is_taken_where_it_is_right():
    cell = ml.cell(lstm, gates="ifgo", states="hc", backward=lstm_backward(), name="mine")
    assert cell.kept == tuple("ifgo")


WRONG = {
    "f": "dxw of gate 'f' off by .* dL/dh",
    "o": "dxw of gate 'o' off by .* dL/dh",
    "dprev": "dprev of 'c' off by .* dL/dh",
    "total": "dxw of gate 'i' off by .* dL/dh",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_backward_is_named(wrong):
    with pytest.raises(ValueError, match=f"backward must be the derivative of forward, got {WRONG[wrong]}"):
        ml.cell(lstm, gates="ifgo", states="hc", backward=lstm_backward(wrong))


def test_check_step_takes_a_cell():
    cell = ml.cell(lstm, gates="ifgo", states="hc", name="mine")
    report = ml.check_step(lstm, lstm_backward(), cell, batch=3, units=4)
    assert report.ok
    assert report.max_error < 1e-12
    assert report["dxw of gate 'f', from dc"].numeric.shape == (3, 4)
    assert not report.notes
    wrong = ml.check_step(lstm, lstm_backward("f"), cell)
    assert not wrong.ok
    assert {one.name for one in wrong.wrong} == {
        f"{name} of gate 'f', from d{state}" for name in ("dxw", "dhu") for state in "hc"
    }
    assert wrong.worst.ratio == pytest.approx(0.5)
    bad = ml.check_step(lstm, lambda *_: (), cell)
    assert not bad.ok
    assert "backward must be a function of (dstate, prev, state, kept, p)" in str(bad)
    assert "got ZeroDivisionError" in str(ml.check_step(lambda *_: 1 / 0, lstm_backward(), cell))

    def other(xw, hu, prev, p):
        (h, c), kept = lstm(xw, hu, prev, p)
        return (0.5 * h, c), kept

    assert ml.check_step(other, lstm_backward(), cell).notes == [
        "forward gives another h than that of the cell 'mine'"
    ]


def test_a_backward_of_other_shapes():
    for returned, words in (
        (lambda dh: (dh, dh), "returns dxw, dhu, dprev, total, dp, got ValueError: not enough values"),
        (lambda dh: (dh[:, :1], dh, (dh,), (dh,), None), r"dxw is of shape \(6, 5\), got \(6, 1\)"),
        (lambda dh: (dh, dh, (dh, dh), (dh,), None), "dprev is 1 of shape"),
    ):
        with pytest.raises(ValueError, match=f"backward must be a function.*{words}"):
            ml.cell(tanh, gates=["z"], backward=lambda dstate, *_, r=returned: r(dstate[0]))


def test_an_rnn_of_something_else():
    with pytest.raises(TypeError, match=r"cell must be a cell made by minilstm\.cell"):
        ml.RNN(tanh, 4)
    with pytest.raises(ValueError, match=r"cell must be 'mgu' or .*, got 'mgru'"):
        ml.RNN("mgru", 4)


def into_a_view(xw, hu, prev, p):
    z = xw + hu
    first, second = np.split(z, 2, axis=-1)
    first *= 0.5  # and so is z
    return (np.tanh(z[:, : first.shape[-1]]) * prev[0] + np.tanh(second),), ()


@pytest.mark.parametrize(
    ("forward", "gates"), [(lambda xw, hu, prev, p: ((np.arcsinh(xw + hu),), ()), "z"), (into_a_view, "fg")]
)
def test_what_the_first_order_does_not_know_goes_by_complex_numbers(forward, gates):
    cell = ml.cell(forward, gates=gates)
    assert not cell.structure.dual
    model = ml.Sequential([ml.RNN(cell, 3, input_shape=(5, 2)), ml.Dense(1)], dtype="float64", seed=0)
    model.compile(loss="mse")
    x = np.random.default_rng(0).normal(size=(2, 5, 2))
    assert ml.gradcheck(model, x, np.ones(2)).ok
    assert sigmoid(0) == 0.5
