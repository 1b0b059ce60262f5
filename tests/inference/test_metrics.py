"""Metrics against scikit-learn, closed forms and brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.errors import UsageError
from striate.inference import metrics

sklearn = pytest.importorskip("sklearn.metrics")


def _some(images=400, classes=7, seed=0):
    random = np.random.default_rng(seed)
    logits = random.normal(0, 3, (images, classes)).astype(np.float32)
    labels = random.integers(0, classes, images)
    return logits, labels


def test_cross_entropy_is_scikit_learns():
    logits, labels = _some()
    likely = metrics.probabilities(logits)
    assert np.allclose(likely.sum(1), 1)
    expected = sklearn.log_loss(labels, likely, labels=range(7))
    assert metrics.surprise(logits, labels).mean() == pytest.approx(expected, rel=1e-9)
    assert metrics.surprise(likely, labels, "probabilities").mean() == pytest.approx(expected)
    assert metrics.surprise(-logits, labels, "distances").mean() == pytest.approx(expected)


def test_cross_entropy_stays_finite_where_the_probability_is_zero():
    assert metrics.surprise(np.array([[1e4, 0.0]]), np.array([1]))[0] == 1e4
    assert np.isfinite(metrics.surprise(np.array([[1.0, 0.0]]), np.array([1]), "probabilities"))


@pytest.mark.parametrize("k", [1, 3, 5])
def test_rank_gives_scikit_learns_top_k(k):
    logits, labels = _some()
    expected = sklearn.top_k_accuracy_score(labels, logits, k=k, labels=range(7))
    assert (metrics.rank(logits, labels) < k).mean() == pytest.approx(expected)


def test_equal_scores_are_ordered_as_argmax_orders_them():
    scores = np.zeros((3, 4), np.float32)
    labels = np.array([0, 1, 3])
    assert metrics.rank(scores, labels).tolist() == [0, 1, 3]


def test_confusion_is_scikit_learns():
    logits, labels = _some()
    answers = logits.argmax(1)
    expected = sklearn.confusion_matrix(labels, answers, labels=range(9))
    assert (metrics.confusion(labels, answers, 9) == expected).all()


@pytest.mark.parametrize("count", [1, 10, 360, 10000])
def test_wilson_interval_is_scipys(count):
    scipy = pytest.importorskip("scipy.stats")
    for hits in {0, 1, count // 2, count - count // 100, count}:
        expected = scipy.binomtest(hits, count).proportion_ci(method="wilson")
        assert metrics.wilson(hits, count) == pytest.approx(tuple(expected), abs=1e-12)


@settings(deadline=None)
@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_holds_the_proportion_and_solves_its_equation(case):
    hits, count = case
    low, high = metrics.wilson(hits, count)
    p = hits / count
    assert 0 <= low <= p <= high <= 1
    z2 = 1.959963984540054**2
    for end in (low, high):  # the ends are where (p - end)^2 = z^2 end (1 - end) / n
        assert (p - end) ** 2 == pytest.approx(z2 * end * (1 - end) / count, abs=1e-9)


def test_wilson_refuses_nonsense():
    with pytest.raises(UsageError, match="hits=3, count=2"):
        metrics.wilson(3, 2)
    with pytest.raises(UsageError, match="count=0"):
        metrics.wilson(0, 0)


def test_calibration_error_against_a_loop():
    logits, labels = _some(2000)
    likely = metrics.probabilities(logits)
    confidence, right = likely.max(1), likely.argmax(1) == labels
    expected = 0.0
    for k in range(15):
        inside = (confidence > k / 15) & (confidence <= (k + 1) / 15)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert metrics.expected_calibration_error(likely, labels) == pytest.approx(expected)


def test_a_perfectly_calibrated_answer_has_no_error():
    likely = np.tile([0.75, 0.25], (4, 1))
    assert metrics.expected_calibration_error(likely, np.array([0, 0, 0, 1])) == 0
    assert metrics.expected_calibration_error(likely, np.array([1, 1, 1, 1])) == 0.75


def test_reliability_counts_every_prediction_once():
    logits, labels = _some()
    parts = metrics.reliability(metrics.probabilities(logits), labels)
    assert len(parts) == 15
    assert sum(part.n for part in parts) == 400


def test_a_score_that_is_no_number_is_never_right():
    scores = np.array([[np.nan, 0.0, 0.0], [3.0, np.nan, 1.0], [np.nan] * 3, [1.0, 0.0, 0.0]])
    assert metrics.rank(scores, np.array([0, 0, 1, 0])).tolist() == [3, 1, 3, 0]
