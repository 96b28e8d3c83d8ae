"""Texts to ids and back."""

from __future__ import annotations

import random
import re

import pytest

import minilstm as ml
from minilstm.sequences.text import text_ids, words

TEXTS = ["The cat sat.", "the cat, the DOG", "A dog's life"]


def test_the_most_frequent_words_have_the_lowest_ids():
    vocabulary = ml.Vocabulary.of(TEXTS)
    assert vocabulary.words == ["the", "cat", "a", "dog", "dog's", "life", "sat"]
    assert len(vocabulary) == 9
    assert vocabulary.ids(["the bird sat", "", "CAT cat"]) == [[2, 1, 8], [], [3, 3]]
    assert [vocabulary.text(ids) for ids in vocabulary.ids(TEXTS)] == [
        "the cat sat",
        "the cat the dog",
        "a dog's life",
    ]
    assert vocabulary.unknown_share(["the bird", ""]) == 0.5
    assert vocabulary.unknown_share([]) == 0.0
    assert ml.Vocabulary.of(TEXTS, 4).words == ["the", "cat"]
    assert ml.Vocabulary.of(TEXTS, min_count=2).words == ["the", "cat"]
    assert ml.Vocabulary.of(TEXTS, 2).ids(["the"]) == [[1]]
    assert ml.Vocabulary.of(["a b"], split=list).words == [" ", "a", "b"]


def test_words_are_what_a_regular_expression_finds():
    draw = random.Random(0)
    for _ in range(2000):
        text = "".join(draw.choice("aB3_ '\u2019\".,-\n\t\u00e9\u4e00\u0130\u00b2\ud800") for _ in range(12))
        plain = text.lower().replace("\u2019", "'").replace("\u0307", "x")  # of U+0130, a mark: see below
        assert [w.replace("\u0307", "x") for w in words(text)] == re.findall(r"\w+(?:'\w+)*", plain)
    assert words("don\u2019t 'stop' ''it'' rock'n'roll ' '' don't") == [
        *("don't", "stop", "it", "rock'n'roll", "don't")
    ]
    assert words("\u0939\u093f\u0928\u094d\u0926\u0940 x") == ["\u0939\u093f\u0928\u094d\u0926\u0940", "x"]


def test_ids_of_a_whole_corpus_are_counted_on_the_training_part_alone():
    vocabulary, ids = text_ids(["b a a", "c c c a"], training=[0], size=10)
    assert (vocabulary.words, [row.tolist() for row in ids]) == (["a", "b"], [[3, 2, 2], [1, 1, 1, 2]])
    draw = random.Random(1)
    texts = [" ".join(draw.choices("abcdefgh", k=draw.randint(0, 9))) for _ in range(40)]
    for size in (2, 5, 30):
        vocabulary, ids = text_ids(iter(texts), training=range(20), size=size)
        expected = ml.Vocabulary.of(texts[:20], size)
        assert vocabulary.words == expected.words
        assert [row.tolist() for row in ids] == expected.ids(texts)
        assert {row.dtype.name for row in ids} == {"int32"}


def test_an_embedding_takes_the_ids():
    vocabulary = ml.Vocabulary.of(TEXTS)
    model = ml.Sequential([ml.Embedding(len(vocabulary), 3, mask_zero=True), ml.LSTM(2)], seed=0)
    x = ml.pad_sequences(vocabulary.ids(TEXTS), padding="post")
    assert model.predict(x).shape == (3, 2)


def test_bad_arguments_are_named():
    vocabulary = ml.Vocabulary(["a"])
    for call, error, message in (
        (lambda: ml.Vocabulary("abc"), TypeError, "vocabulary must be a list of words, got 'abc'"),
        (
            lambda: ml.Vocabulary(["a", "a"]),
            ValueError,
            "must be of different words, got 'a' twice",
        ),
        (lambda: vocabulary.ids("a text"), TypeError, "texts must be a list of texts, got one text"),
        (lambda: vocabulary.ids([1]), TypeError, r"texts\[0\] must be a text, got 1"),
        (lambda: vocabulary.text([3]), ValueError, r"ids\[0\] must be below 3, got 3"),
        (lambda: ml.Vocabulary.of(["a"], 1), ValueError, "size must be a whole number >= 2, got 1"),
    ):
        with pytest.raises(error, match=message):
            call()
