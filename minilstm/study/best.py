"""The model of the recommended length: trained once more, which gives the same bits, and saved.

Beside it stands how its inputs and targets were made of what was given, for new ones are made likewise.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np

from minilstm.foundations import files
from minilstm.study.journal import MODEL, PREPARATION, Journal
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
    if preparation := source.at(chosen["length"]).preparation:
        packed = BytesIO()
        np.savez(packed, **dict(preparation))  # type: ignore[arg-type]
        files.write_bytes(journal.folder / PREPARATION, packed.getvalue())
    return path


def loading(result: StudyResult, prepares: bool) -> list[str]:
    """The lines that load that model and predict.

    prepares : whether its data set's preparation was saved, and `sequences` or `texts` are raw
    """
    chosen = result.recommend()
    if chosen is None:
        return []
    length, padding, truncating = chosen["length"], chosen["padding"], chosen["truncating"]
    words = result.settings.embedding is not None
    options = f'maxlen={length}, dtype="{"int32" if words else "float32"}"'
    options += f', padding="{padding}", truncating="{truncating}"'
    lengths = f'[len(s) for s in sequences], {length}, "{padding}"'
    mask = f", mask=ml.lengths_to_mask({lengths})" if chosen["mask"] else ""
    lines = [f'model = ml.load_model("{MODEL}")']
    answer = f"model.predict(x{mask})"
    if prepares:
        each = '[(np.reshape(s, (len(s), -1)) - made["mean"]) / made["std"] for s in sequences]'
        each = 'ml.Vocabulary(str(made["words"]).split()).ids(texts)' if words else each
        lines += [f'made = np.load("{PREPARATION}")', f"sequences = {each}"]
        answer += ' * made["y_std"] + made["y_mean"]' if result.settings.metric == "MSE" else ""
    return [*lines, f"x = ml.pad_sequences(sequences, {options})", answer]
