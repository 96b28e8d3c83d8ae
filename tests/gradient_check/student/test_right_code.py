"""Right code in every style is accepted, with no cause; mistakes in them are caught and named."""

from __future__ import annotations

import json

import keeping_zoo
import layout_zoo
import mixed_zoo
import pytest
import right_zoo as zoo

ZOOS = zoo, mixed_zoo, layout_zoo, keeping_zoo
RIGHT, WRONG = ([code for z in ZOOS for code in getattr(z, kind)] for kind in ("RIGHT", "WRONG"))


def name(code):
    return f"{code.style}-{code.cell}-{code.kind}"


def test_there_are_many_styles():
    assert len(RIGHT) >= 45
    assert len({name(code) for code in RIGHT}) == len(RIGHT)
    assert {(code.cell, code.kind) for code in RIGHT} == {
        (cell, kind) for cell in ("lstm", "gru", "simple_rnn") for kind in ("step", "sequence")
    }
    assert len(WRONG) >= 40
    assert sum(wrong.words is not None for wrong in WRONG) >= 35


@pytest.mark.parametrize("code", RIGHT, ids=map(name, RIGHT))
def test_right_code_is_accepted(code):
    report = code.report()
    assert report.ok, str(report)
    assert report.causes == []
    assert report.max_error <= report.tolerance
    json.dumps(report.to_dict(), allow_nan=False)


@pytest.mark.parametrize("wrong", WRONG, ids=[name(wrong.code) for wrong in WRONG])
def test_wrong_code_is_caught_and_never_misnamed(wrong):
    report = wrong.code.report()
    assert not report.ok
    assert report.fault is None
    named = [cause for cause in report.causes if not cause.startswith("perhaps")]
    if wrong.words is not None:
        assert len(named) == 1, str(report)
        assert wrong.words in named[0], str(report)
    else:
        assert named == [], str(report)


@pytest.mark.parametrize(
    ("style", "hygiene"),
    [
        ("dc += in place", ["backward modifies its input dc"]),
        ("c0 = 0, no dc, cache.pop()", ["backward uses up its cache: a second call raises"]),
        (
            "layer object over time, dtype='f'",
            ["computes in float32: the check is done at its precision, 1e-07"],
        ),
        ("cache in globals", ["backward uses up its cache: a second call raises"]),
        ("weights updated in the loop", ["forward modifies its input Whh"]),
    ],
)
def test_hygiene_is_a_verdict_of_its_own(style, hygiene):
    (code,) = [code for code in [*RIGHT, *(wrong.code for wrong in WRONG)] if code.style == style]
    report = code.report()
    assert report.hygiene == hygiene
    assert not code.report(strict=True).ok


@pytest.mark.parametrize(
    ("style", "words"),
    [
        ("reset before, z writes, one bias", "(reset_after=False); z and 1 - z exchanged"),
        ("forget bias inside", "0.7 is added to the forget gate's pre-activation"),
        ("one matrix of [h, x], dict", "is this package's: W and U are one matrix, of [h, x]"),
        ("coupled gates", "input and forget gate are coupled"),
        ("one matrix, forget bias, (h, c) as a pair", "1 is added to the forget gate's pre-activation"),
        ("peepholes in globals", "its gates read the cell state (peepholes): c is not linear in c_prev"),
        ("columns, a dict of gates, reset before", "no rb: taken as 0"),
        ("no bias", "no b: taken as 0"),
        ("bias a row of [1, x, h]", "W, U and b are one matrix, of [1, x, h]"),
        ("bias a column of [h, x, 1]", "in the order f, i, g, o"),
        ("last h only", "c of the start is not taken: it begins at 0"),
        ("None for dx", "no gradient of x: not judged"),
        ("all h and all c, no dc", "backward takes no gradient of c: a loss on it is not checked"),
    ],
)
def test_notes_say_what_the_forward_pass_is_and_what_was_left_out(style, words):
    code = next(code for code in RIGHT if code.style == style)
    assert any(words in note for note in code.report().notes)


@pytest.mark.parametrize(
    ("source", "cell", "kind", "adapter"),
    [
        (zoo.COLUMN_RNN, "simple_rnn", "sequence", "use adapters.columns"),
        (zoo.TIME_MAJOR, "simple_rnn", "sequence", "use adapters.time_major"),
        (zoo.SINGLE, "lstm", "sequence", "use adapters.single"),
        (zoo.DICTIONARY, "simple_rnn", "sequence", "use adapters.dictionary"),
        (zoo.IDS, "simple_rnn", "sequence", "use adapters.ids"),
        (zoo.COLUMNS.replace("lstm_cell", "step"), "lstm", "step", "use adapters.course"),
        (layout_zoo.TORCH_STEP, "lstm", "step", "use adapters.pytorch"),
        (layout_zoo.TORCH_GRU, "gru", "sequence", "use adapters.time_major(*adapters.pytorch(forward, "),
        (layout_zoo.BIAS_COLUMN, "lstm", "step", "use adapters.pytorch"),
        (layout_zoo.IN_LIST, "gru", "step", "use adapters.listed"),
        (layout_zoo.GATE_AXIS, "lstm", "step", "use adapters.blocks"),
    ],
)
def test_without_an_adapter_the_error_says_which_one_fits(source, cell, kind, adapter):
    report = zoo.pair("", cell, kind, source).report()
    assert not report.ok
    assert adapter in report.fault


def test_names_that_are_told():
    source = zoo.PAIR.replace("(x, prev_h, prev_c, Wx, Wh, b):", "(first, second, *rest):").replace(
        "    H = prev_h", "    x, prev_c = first, second\n    prev_h, Wx, Wh, b = rest\n    H = prev_h"
    )
    code = zoo.pair("", "lstm", "step", source)
    assert not code.report().ok
    assert not code.report(inputs="x c h W U b").ok  # the gradients are returned as x, h, c
    swapped = source.replace("da.dot(Wh.T), dprev_c, x.T", "dprev_c, da.dot(Wh.T), x.T")
    report = zoo.pair("", "lstm", "step", swapped).report(inputs="x c h W U b", outputs="h c cache")
    assert report.ok, str(report)
