"""Decay, half-life, memory and verdict: on curves whose answer is known, and on real traces."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

import minilstm as ml
from minilstm.trace.horizon import decay_of, side_by_side

N, T, D, H = 4, 60, 3, 8


def traced(
    forget_bias=1.0, steps=T, mask=None, return_sequences=False, scale=0.0, dtype="float64", recurrent=None
):
    """A layer with `scale` times its usual kernels; `recurrent` is another factor for the recurrent one."""
    layer = ml.LSTM(H, input_shape=(steps, D), return_sequences=return_sequences, name="rec")
    model = ml.Sequential([layer, ml.Dense(1)], dtype=dtype, seed=0)
    model.compile(loss="mse")
    rng = np.random.default_rng(0)
    weights = model.get_weights()
    weights[0] *= scale
    weights[1] *= scale if recurrent is None else recurrent
    weights[2][H : 2 * H] = forget_bias
    weights[2][2 * H : 3 * H] = 1e-3
    model.set_weights(weights)
    y = rng.normal(size=(N, steps) if return_sequences else N)
    return model.trace(rng.normal(size=(N, steps, D)), y, mask)["rec"]


# ------------------------------------------------------------ the fitted line


def test_decay_is_scipys_regression():
    rng = np.random.default_rng(0)
    for length in (2, 3, 17, 100):
        norms = np.exp(rng.normal(size=length) - 0.3 * np.arange(length))
        expected = stats.linregress(np.arange(length), np.log(norms))
        found = decay_of(norms)
        assert found.rate == pytest.approx(expected.slope, rel=1e-12)
        assert found.r2 == pytest.approx(expected.rvalue**2, rel=1e-10)
        assert found.count == length


def test_decay_leaves_out_what_is_no_number_above_zero():
    norms = 0.9 ** np.arange(20)
    norms[[3, 7]], norms[11], norms[12] = 0, np.nan, np.inf
    found = decay_of(norms)
    assert found.factor == pytest.approx(0.9, rel=1e-12)
    assert (found.count, found.r2) == (16, pytest.approx(1))


def test_decay_at_the_edges():
    assert math.isnan(decay_of(np.array([1.0])).rate)
    assert math.isnan(decay_of(np.zeros(5)).rate)
    assert math.isnan(decay_of(np.zeros(0)).half_life)
    flat = decay_of(np.ones(5))
    assert (flat.rate, flat.half_life, flat.r2) == (0, math.inf, 1)
    assert decay_of(2.0 ** np.arange(9)).half_life == pytest.approx(-1)
    assert decay_of(1e-250 * 0.1 ** np.arange(40)).factor == pytest.approx(0.1)


@pytest.mark.parametrize(("bias", "half_life"), [(0, 1.00), (1, 2.21), (3, 14.27), (5, 103.22)])
def test_half_life_at_zero_weights_is_that_of_the_forget_gate(bias, half_life):
    """ln(1/2) / ln(sigmoid(b)), whatever the length, by the gradient and by the gates."""
    rec = traced(bias)
    assert rec.decay("dc").half_life == pytest.approx(half_life, abs=0.005)
    exact = math.log(0.5) / math.log(1 / (1 + math.exp(-bias)))
    assert rec.decay("dc").half_life == pytest.approx(exact, rel=1e-4)  # tanh(c) is nearly c
    assert -math.log(2) / rec.verdict("dc").gate_rate == pytest.approx(exact, rel=1e-12)
    np.testing.assert_allclose(rec.effective_memory(), exact / math.log(2), rtol=1e-12)


def test_samples_of_different_lengths_do_not_bend_the_line():
    mask = np.arange(T) < np.array([T, 40, 20, 5])[:, None]
    masked, whole = traced(2, mask=mask), traced(2)
    assert masked.decay("dc").half_life == pytest.approx(whole.decay("dc").half_life, rel=1e-2)
    assert [masked.horizon(0.01, "dc", sample=k) for k in range(N)] == [37, 37, 20, 5]


def test_decay_of_each_sample_and_the_common_one():
    """Levels apart by orders of magnitude and lengths apart: the common rate is still the one rate."""
    k = np.arange(30)
    norms = np.stack([1e-5 * 0.8**k, 1e5 * 0.8**k, np.where(k < 7, 0.8**k, np.nan)])
    assert decay_of(norms).factor == pytest.approx(0.8, rel=1e-12)
    assert decay_of(norms).count == 67
    dummies = np.zeros((67, 4))
    noisy = norms * np.exp(np.random.default_rng(0).normal(size=norms.shape))
    rows, columns = np.nonzero(np.isfinite(norms))
    dummies[np.arange(67), rows], dummies[:, 3] = 1, columns
    expected = np.linalg.lstsq(dummies, np.log(noisy[rows, columns]))[0][3]
    assert decay_of(noisy).rate == pytest.approx(expected, rel=1e-10)
    rec = traced(1, mask=np.arange(T) < np.array([T, 40, 20, 5])[:, None], scale=1.0)
    for sample in range(N):
        own = np.linalg.norm(rec.dh[sample, rec.real[sample]], axis=1)[::-1]
        expected = stats.linregress(np.arange(len(own)), np.log(own))
        assert rec.decay(sample=sample).rate == pytest.approx(expected.slope, rel=1e-10)


# ------------------------------------------------------------ the verdict


def test_verdicts():
    assert traced(0).verdict("dc").word == "vanishing"
    assert traced(8).verdict("dc").word == "steady"
    assert traced(1, scale=1.0, recurrent=16, steps=200).verdict("dc").word == "exploding"
    assert traced(-3, scale=0.01, steps=200, dtype="float32").verdict("dc").word == "underflow"
    assert traced(steps=1).verdict().word == "one step"
    assert traced(mask=np.zeros((N, T), bool)).verdict().word == "no gradient"


def test_a_verdict_says_its_numbers():
    rec = traced(1)
    verdict = rec.verdict("dc")
    assert verdict.ratio == pytest.approx(rec.norm("dc")[0] / rec.norm("dc")[-1], rel=1e-12)
    assert (verdict.length, verdict.horizon) == (T, rec.horizon(0.01, "dc"))
    assert not verdict.every_step
    text = str(verdict)
    assert text.startswith("dc: vanishing; over 59 steps back its norm changes by a factor of ")
    assert "halving every 2.21 steps (R^2 1.00); 0.01 of the largest norm reaches 15 steps" in text
    assert text.endswith("the gates alone would halve it every 2.21 steps")
    assert ", other paths bring the rest; " in str(traced(0, return_sequences=True).verdict("dc"))


def test_a_loss_on_every_step_is_told():
    verdict = traced(1, return_sequences=True).verdict()
    assert verdict.every_step
    assert "see the credit map" in str(verdict)


def test_a_loss_on_the_held_state_of_padding_is_a_loss_on_the_last_real_step():
    mask = np.arange(T) < np.array([T, 40, 20, 5])[:, None]
    assert not traced(1, mask=mask).verdict().every_step


def test_not_finite():
    rec = traced(1)
    rec.dc[0, 3, 0] = np.nan
    verdict = rec.verdict("dc")
    assert (verdict.word, verdict.lost) == ("not finite", T - 1 - 3)
    text = str(verdict)
    assert text.startswith(f"dc: not finite; it is no number from {T - 4} steps back on, halving every ")
    assert " until then; the gates alone" in text
    rec.dc[0, -1, 0] = np.inf  # at the loss already
    assert rec.verdict("dc").lost == 0
    assert str(rec.verdict("dc")).startswith("dc: not finite; the gates alone")
    rec.dh[0, 3, 0] = np.nan  # the other norms before the last are 0
    assert f"no number from {T - 4} steps back on; the gates" in str(rec.verdict())


def test_where_an_underflow_begins():
    rec = traced(-3, scale=0.01, steps=200, dtype="float32")
    verdict, norms = rec.verdict("dc"), rec.lag_norm("dc")
    assert verdict.word == "underflow"
    assert norms[verdict.lost] < np.finfo("float32").tiny <= norms[verdict.lost - 1]
    assert traced(1).verdict().lost is None


@pytest.mark.parametrize("threshold", [0, 1, -0.5, 2, np.nan])
def test_thresholds_outside_0_and_1(threshold):
    with pytest.raises(ValueError, match="threshold must be a finite number > 0 and < 1, got"):
        traced(1).verdict(threshold=threshold)


def test_side_by_side():
    table = side_by_side({"untrained": traced(0), "trained": traced(5)}, "dc").splitlines()
    assert table[0].split() == [
        "verdict",
        "last/first",
        "half-life",
        "R^2",
        "gates",
        "alone",
        "reach",
        "of",
        "1%",
    ]
    assert table[1].split() == ["untrained", "vanishing", *table[1].split()[2:]]
    assert table[1].split()[3:6] == ["1", "1.00", "1"]
    assert table[2].split()[3:6] == ["103", "1.00", "103"]
    assert table[1].endswith("7 of 60")


# ------------------------------------------------------------ memory of the gates


def test_effective_memory_by_brute_force():
    """The k at which the product of one unit's forget gates, at their geometric mean, is 1/e."""
    mask = np.random.default_rng(2).random((N, T)) < 0.7
    rec = traced(1, scale=1.0, mask=mask)
    for unit in range(H):
        gates = rec.f[..., unit][mask]
        assert np.prod(gates) ** (rec.effective_memory()[unit] / len(gates)) == pytest.approx(1 / math.e)
        own = rec.f[1, mask[1], unit]
        memory = rec.effective_memory(per_sample=True)[1, unit]
        assert np.prod(own) ** (memory / len(own)) == pytest.approx(1 / math.e)


def test_effective_memory_at_the_edges():
    empty = np.ones((N, T), bool)
    empty[2] = False
    memory = traced(1, mask=empty).effective_memory(per_sample=True)
    assert np.isnan(memory[2]).all()
    assert np.isfinite(memory[[0, 1, 3]]).all()
    assert (traced(1000).effective_memory() == np.inf).all()
    assert (traced(-1000).effective_memory() < 0.01).all()
    assert np.isnan(traced(1, mask=np.zeros((N, T), bool)).effective_memory()).all()
