"""The study's figures as data: which there are, what each shows, and the sentence that says what to see.

`plots.chart` draws them for files, `page.js` for the page. A figure is made only where there is something
to see: the generated tasks have no padding, and so none of the figures about it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from minilstm.plots.chart import Axis, Chart, Line, Numbers, Panel
from minilstm.study.plan import Settings, Variant
from minilstm.study.point import LEARNED, PROBE, Record
from minilstm.study.summary import Row, is_straight, variant_of
from minilstm.study.words import baseline_rule

MOST_PANELS = 6  # variants, at most, that a figure with a panel for each shows
WHEN = ("before", "after")
ENDED = f"training accuracy was {LEARNED} or more and the validation loss had not got better for {{}} epochs"


def study_figures(summary: dict[str, Any], records: Sequence[Record], settings: Settings) -> Iterator[Chart]:
    """All figures of a study."""
    rows: list[Row] = summary["rows"]
    if not rows:
        return
    if "post" in settings.padding and settings.varied == ["mask"]:
        yield _contrast(rows, records, settings)
    yield metric_figure(rows, records, settings)
    yield from _cost(rows, summary["cost"], settings)
    if "rnn" in settings.varied:
        yield _kinds(records, settings)
    yield _back(records, settings)
    whole = Line(settings.lengths, settings.lengths, "the whole length", dash="dot")
    yield Chart(
        "horizon",
        "Horizon against length",
        "How many steps back from the end the gradient keeps 1 % of its largest norm: where this stays below "
        "the dotted line, the first steps hardly teach anything.",
        _before_and_after(rows, "horizon", "horizon (time steps)", settings, [whole]),
    )
    padded = bool(settings.padding) and settings.horizon is None
    if padded and any(row["padding_share"] for row in rows):
        panels = [replace(_padding(records, settings, when), title=f"{when} training") for when in WHEN]
        yield Chart(
            "padding_gradient",
            f"Gradient norm across the padding, length {settings.lengths[-1]}",
            "Read from the right, as the gradient runs: the shaded part is padding, the rest is data; "
            "the line is the median over sequences.",
            _same_range(panels),
        )
    yield Chart(
        "first_step",
        "Gradient norm at the first step against length",
        "What is left of the gradient when it arrives at the first step of a sequence, on a log axis: "
        "where this is tiny, the beginning cannot be learned from.",
        _before_and_after(rows, "first_norm", "norm of dh", settings),
    )
    if padded:
        yield _shares(rows, settings)
    yield _training(records, settings)


# ------------------------------------------------------------ what the figures share


def _own(rows: Sequence[Any], variant: Variant) -> list[Any]:
    """Those of the rows, or records, that belong to a variant."""
    return [row for row in rows if variant_of(row) == variant]


def _style(settings: Settings, variant: Variant) -> dict[str, Any]:
    """Name and place of a variant, the same in every figure; its control is dotted, in the same colour."""
    place = settings.variants.index((*variant[:-1], False))
    if settings.varied == ["mask"]:
        place = int(not variant[2])
    return {"name": settings.label(variant), "series": place, "dash": "dot" if variant[-1] else "solid"}


def _panelled(settings: Settings) -> list[Variant]:
    return [variant for variant in settings.variants if not variant[-1]][:MOST_PANELS]


def _against_length(rows: Sequence[Row], name: str, settings: Settings, scale: float = 1.0) -> list[Line]:
    """A column of the rows against length, a line per variant."""
    found = []
    for variant in settings.variants:
        own = _own(rows, variant)
        y = [None if row[name] is None else scale * row[name] for row in own]
        found.append(Line([row["length"] for row in own], y, **_style(settings, variant)))
    return found


def _lengths(settings: Settings) -> Axis:
    return Axis("length (time steps)", log=True, ticks=settings.lengths)


def _before_and_after(
    rows: Sequence[Row], name: str, title: str, settings: Settings, more: Sequence[Line] = ()
) -> list[Panel]:
    """A column against length on a log axis, before and after training."""
    y = Axis(title, log=True)
    lines = {when: [*_against_length(rows, f"{name}_{when}", settings), *more] for when in WHEN}
    return _same_range([Panel(lines[when], _lengths(settings), y, f"{when} training") for when in WHEN])


def _same_range(panels: Sequence[Panel]) -> list[Panel]:
    """The panels with one range of y, on log axes: what lies in any of them, and in any frame."""
    lines = [line for panel in panels for line in panel.lines]
    found = [y for line in lines for values in (line.frames or [line.y]) for y in values if y]
    if not found:
        return list(panels)
    low, high = min(found), max(found)
    room = max(1.2, (high / low) ** 0.04)
    return [replace(panel, y=replace(panel.y, low=low / room, high=high * room)) for panel in panels]


def _median(lists: Sequence[Numbers]) -> list[float | None]:
    """Elementwise median over seeds, over the shortest list's length; None where a seed has no number."""
    found = np.median(np.array(list(zip(*lists, strict=False)), dtype=float).reshape(-1, len(lists)), axis=1)
    return [None if np.isnan(value) else float(value) for value in found]


# ------------------------------------------------------------ metric and cost


def metric_figure(rows: Sequence[Row], records: Sequence[Record], settings: Settings) -> Chart:
    """The test metric against length, with the seeds and the baseline."""
    return Chart(
        "mse" if settings.metric == "MSE" else "accuracy",
        f"Test {settings.metric} against length",
        "Bars are the range of the seeds' 95 % intervals, faint dots single seeds; the dashed line is what "
        f"{baseline_rule(rows[0], settings.metric)} reaches.",
        [_metric(rows, records, settings)],
    )


def _metric(rows: Sequence[Row], records: Sequence[Record], settings: Settings) -> Panel:
    lines = _against_length(rows, "test_metric", settings)
    for k, variant in enumerate(settings.variants):
        low, high = ([row[f"test_{end}"] for row in _own(rows, variant)] for end in ("low", "high"))
        lines[k] = replace(lines[k], low=low, high=high)
        if settings.seeds > 1:
            seeds = [record for record in _own(records, variant) if record["test_metric"] is not None]
            x, y = ([record[key] for record in seeds] for key in ("length", "test_metric"))
            lines.append(replace(lines[k], x=x, y=y, low=None, high=None, dash="none", faint=True))
    base = {row["length"]: row["baseline"] for row in rows}
    lines.append(Line(list(base), list(base.values()), "baseline", dash="dash"))
    lowest = min([*base.values(), *(row["test_low"] for row in rows if row["test_low"] is not None)])
    scale = Axis(f"test {settings.metric}", 0.0)
    if settings.metric == "accuracy":
        scale = replace(scale, low=lowest - 0.05 if lowest > 0.4 else 0.0, high=1.03)
    return Panel(lines, _lengths(settings), scale)


def _cost(rows: Sequence[Row], cost: dict[str, Any], settings: Settings) -> Iterator[Chart]:
    kinds = (
        ("cost", "ms_per_step", 1.0, "ms", "milliseconds", "Time of a training step against length"),
        ("memory", "tape_bytes", 1e-6, "MB", "megabytes", "Tape kept for the backward pass against length"),
    )
    for name, column, scale, unit, words, title in kinds:
        lines = [replace(line, dash="none") for line in _against_length(rows, column, settings, scale)]
        if column == "ms_per_step":
            ends = [_against_length(rows, end, settings) for end in ("ms_low", "ms_high")]
            lines = [
                replace(line, low=low.y, high=high.y) for line, low, high in zip(lines, *ends, strict=True)
            ]
        for variant in settings.variants:
            fit = cost.get(settings.label(variant), {}).get(column)
            if fit is not None and is_straight(fit):
                a, b, last = scale * fit["intercept"], scale * fit["slope"], settings.lengths[-1]
                style = _style(settings, variant)
                text = ": ".join(filter(None, [style["name"], f"{a:.3g} + {b:.3g} T {unit}"]))
                style |= {"name": text if len(settings.variants) <= 2 else "", "dash": "dash"}
                lines.append(Line([0, last], [a, a + b * last], **style))
        fitted = any(line.dash == "dash" for line in lines)
        caption = (
            "What each further time step adds: the dashed lines are least-squares fits a + b T"
            if fitted
            else "No line is drawn, as the points lie on none"
        )
        caption += "; bars hold the middle half of the steps." if column == "ms_per_step" else "."
        panel = Panel(lines, Axis("length T (time steps)", 0.0), Axis(words, 0.0))
        yield Chart(name, title, caption, [panel])


def _shares(rows: Sequence[Row], settings: Settings) -> Chart:
    own = _own(rows, variant_of(rows[0]))
    columns = (("cut_share", "steps cut off"), ("padding_share", "steps that are padding"))
    x = [row["length"] for row in own]
    lines = [
        Line(x, [100 * row[column] for row in own], words, k) for k, (column, words) in enumerate(columns)
    ]
    return Chart(
        "shares",
        "Truncation and padding",
        "A short length throws data away, a long one spends most of its work on padding.",
        [Panel(lines, _lengths(settings), Axis("per cent of the training part", 0.0, 100.0))],
    )


# ------------------------------------------------------------ the gradient


def _contrast(rows: Sequence[Row], records: Sequence[Record], settings: Settings) -> Chart:
    metric, cause = _metric(rows, records, settings), _padding(records, settings, "before")
    return Chart(
        "contrast",
        "What padding does without a mask",
        f"The effect is {settings.metric} at each length. The cause is the gradient: with a mask it crosses "
        "the padding unchanged; without one it decays there, before it reaches any data.",
        [
            replace(metric, title=f"the effect: {settings.metric} against length"),
            replace(cause, title=f"the cause: the gradient at length {settings.lengths[-1]}"),
        ],
    )


def _padding(records: Sequence[Record], settings: Settings, when: str) -> Panel:
    """The gradient from step to step across the end of the sequences, at the longest length."""
    lines: list[Line] = []
    for variant in _panelled(settings):
        own = [r[when]["profile"] for r in _own(records, variant) if r["length"] == settings.lengths[-1]]
        own = [profile for profile in own if profile["offset"]]
        if own:
            norms = _median([profile["norm"] for profile in own])
            lines.append(Line(own[0]["offset"][: len(norms)], norms, **_style(settings, variant)))
    right = max((line.x[-1] or 0 for line in lines), default=0)
    x, y = Axis("steps after the end of the sequence"), Axis("norm of dh per sequence", log=True)
    return _same_range([Panel(lines, x, y, padding=(0.5, right + 0.5) if right > 0 else None)])[0]


def _back(records: Sequence[Record], settings: Settings) -> Chart:
    """A panel per variant, a line per length, a frame per epoch: the gradient on its way back."""
    epochs = sorted({0, settings.epochs, *(shot["epoch"] for r in records for shot in r["snapshots"])})
    panels = []
    for variant in _panelled(settings):
        lines = []
        for k, length in enumerate(settings.lengths):
            own = [record for record in _own(records, variant) if record["length"] == length]
            seeds = [_norms(record, epochs) for record in own]
            if own:
                frames = [_median([norms[e] for norms in seeds if e in norms] or [[]]) for e in epochs]
                order = (k, len(settings.lengths))
                lines.append(Line(own[0]["lags"], frames[-1], f"{length}", order=order, frames=frames))
        x, y = Axis("steps before the end", whole=True), Axis("norm of dh", log=True)
        panels.append(Panel(lines, x, y, settings.label(variant)))
    return Chart(
        "gradient_back",
        "Gradient norm against steps before the end",
        "Read from the left: how fast the gradient of the hidden state shrinks on its way back from the loss "
        f"(L2 norm over the units of {PROBE} validation sequences; masked steps are not counted, padding "
        "without a mask is).",
        _same_range(panels),
        "length",
        epochs,
    )


def _norms(record: Record, epochs: Sequence[int]) -> dict[int, Numbers]:
    """The gradient's norm at the record's lags, by epoch; from its last on that of the model as it ended."""
    found: dict[int, Numbers] = {shot["epoch"]: shot["norms"] for shot in record["snapshots"]}
    trained = len(record["curves"].get("loss", []))
    ends = {0: "before"} | {epoch: "after" for epoch in epochs if epoch == epochs[-1] or epoch > trained}
    return found | {e: [record[when]["norms"][k] for k in record["lags"]] for e, when in ends.items()}


def _kinds(records: Sequence[Record], settings: Settings) -> Chart:
    """The kinds of layer in one picture: the first variant of each, at the longest length."""
    length = settings.lengths[-1]
    kinds = {variant[0]: variant for variant in reversed(settings.variants) if not variant[-1]}
    panels = []
    for when in WHEN:
        lines = []
        for k, rnn in enumerate(settings.rnn):
            own = [r[when]["norms"] for r in _own(records, kinds[rnn]) if r["length"] == length]
            norms = _median(own) if own else []
            largest = max((norm for norm in norms if norm), default=None)
            if largest:
                y = [None if norm is None else norm / largest for norm in norms]
                lines.append(Line(list(range(len(y))), y, rnn, k))
        x = Axis("steps before the end", whole=True)
        panels.append(Panel(lines, x, Axis("norm of dh / its largest", log=True), f"{when} training"))
    return Chart(
        "kinds",
        f"Which forgets first, at length {length}",
        "Read from the left: what is left of the gradient on its way back. At each step a GRU's direct path "
        "multiplies it by its gate z, which starts at 1/2, an LSTM's by its forget gate, which starts "
        "at 0.73 (bias 1), and training can open both; a SimpleRNN has nothing to open.",
        _same_range(panels),
    )


# ------------------------------------------------------------ training


def _training(records: Sequence[Record], settings: Settings) -> Chart:
    key = "val_loss" if settings.metric == "MSE" else "val_accuracy"
    get: Callable[[Record], list[float | None]] = lambda record: record["curves"].get(key, [])  # noqa: E731
    panels = []
    for variant in _panelled(settings):
        own = [record for record in _own(records, variant) if get(record)]
        lines = [
            Line(
                list(range(1, len(get(record)) + 1)),
                get(record),
                f"{record['length']}",
                order=(settings.lengths.index(record["length"]), len(settings.lengths)),
            )
            for record in own
        ]
        ends = [(len(get(record)), get(record)[-1]) for record in own if record["diverged"] is None]
        if ends:
            x, y = map(list, zip(*ends, strict=True))
            lines.append(Line(x, y, "the end, whose weights are used", dash="none"))
        high = 1.03 if settings.metric == "accuracy" else None
        scale = Axis(f"validation {settings.metric}", 0.0, high)
        panels.append(Panel(lines, Axis("epoch", whole=True), scale, settings.label(variant)))
    early = "" if settings.patience is None else f", or earlier where {ENDED.format(settings.patience)}"
    return Chart(
        "training",
        "Training",
        "Validation value after each epoch, one line per seed: where a line stays flat, nothing is learned. "
        "All that is told here is of the weights after the last epoch, marked by a ring: "
        f"epoch {settings.epochs}{early}.",
        panels,
        "length",
    )
