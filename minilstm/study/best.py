"""The model of the recommended length: trained once more, which gives the same bits, and saved."""

from __future__ import annotations

from pathlib import Path

from minilstm.study.journal import MODEL, Journal
from minilstm.study.plan import Point
from minilstm.study.point import run_point
from minilstm.study.result import StudyResult
from minilstm.study.source import Source
from minilstm.study.summary import variant_of


def save_best(result: StudyResult, journal: Journal, source: Source) -> Path | None:
    """Save the recommended length's model, of the seed that validated best; None if none is recommended."""
    chosen = result.recommend()
    if chosen is None or journal.folder is None:
        return None
    sign = -1.0 if journal.settings.metric == "MSE" else 1.0
    own = [
        record
        for record in result.cells
        if record["length"] == chosen["length"] and variant_of(record) == variant_of(chosen)
    ]
    best = max(own, key=lambda record: (sign * record["validation_metric"], -record["seed"]))
    path = journal.folder / MODEL
    run_point(journal.settings, source, Point.of(best), save=path)
    return path


def loading(result: StudyResult) -> list[str]:
    """The lines that load that model and predict, for `sequences` prepared as the study's were."""
    chosen = result.recommend()
    if chosen is None:
        return []
    length, padding, truncating = chosen["length"], chosen["padding"], chosen["truncating"]
    words = result.settings.embedding is not None
    options = f'maxlen={length}, dtype="{"int32" if words else "float32"}"'
    options += f', padding="{padding}", truncating="{truncating}"'
    lengths = f'[len(s) for s in sequences], {length}, "{padding}"'
    mask = f", mask=ml.lengths_to_mask({lengths})" if chosen["mask"] else ""
    return [
        f'model = ml.load_model("{MODEL}")',
        f"x = ml.pad_sequences(sequences, {options})",
        f"model.predict(x{mask})",
    ]
