"""Both linear classifiers reach their minimum: scikit-learn is the second opinion."""

from __future__ import annotations

import numpy as np
import pytest

from striate.transfer import fit_linear, fit_logistic, fit_svm
from striate.transfer.linear import Method


def blobs(count: int = 120, width: int = 6) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    centres = random.normal(0, 1.0, (3, width))
    labels = np.arange(count) % 3
    values = centres[labels] + random.normal(0, 1, (count, width))
    return (7 * values + 30).astype(np.float32), labels.astype(np.int64)


@pytest.mark.parametrize("strength", [1e-3, 1e-1])
def test_logistic_regression_is_scikit_learns(strength: float) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, y = blobs()
    ours = fit_logistic(x, y, 3, strength)
    scaled = (x - x.mean(0)) / x.std(0)
    theirs = linear_model.LogisticRegression(C=1 / (len(y) * strength), tol=1e-8, max_iter=5000)
    theirs.fit(scaled, y)

    def likely(scores: np.ndarray) -> np.ndarray:
        each = np.exp(scores - scores.max(1, keepdims=True))
        return each / each.sum(1, keepdims=True)

    ours_likely = likely(x @ ours.weight.T + ours.bias)
    np.testing.assert_allclose(ours_likely, theirs.predict_proba(scaled), atol=1e-3)


def test_the_support_vector_machine_is_at_its_minimum() -> None:
    """Its objective is not above that of scikit-learn's, whose bias is all but free."""
    svm = pytest.importorskip("sklearn.svm")
    x, y = blobs()
    strength = 0.01
    scaled = (x - x.mean(0)) / x.std(0)
    signs = 2.0 * (y[:, None] == np.arange(3)) - 1

    def objective(weight: np.ndarray, bias: np.ndarray) -> float:
        margins = np.clip(1 - signs * (scaled @ weight.T + bias), 0, None)
        return float((margins**2).sum(1).mean() + strength / 2 * (weight**2).sum())

    ours = fit_svm(x, y, 3, strength)
    weight = ours.weight * x.std(0)
    found = objective(weight, ours.bias + ours.weight @ x.mean(0))
    theirs = svm.LinearSVC(C=1 / (len(y) * strength), intercept_scaling=100, tol=1e-8,
                           max_iter=200_000)  # fmt: skip
    theirs.fit(scaled, y)
    assert found <= objective(theirs.coef_, theirs.intercept_) * (1 + 1e-3)


@pytest.mark.parametrize("method", ["logistic", "svm"])
def test_the_strength_is_chosen_on_images_held_out(
    method: Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With many features that say nothing, weak regularisation learns by heart and loses."""
    monkeypatch.setattr("striate.transfer.linear.STRENGTHS", (1e-4, 1e-2, 1.0))
    random = np.random.default_rng(2)
    x, y = blobs(36, 4)
    noisy = np.concatenate([x / 7, random.normal(0, 1, (36, 60))], 1).astype(np.float32)
    chosen = fit_linear(noisy, y, 3, method=method)
    assert chosen.strength > 1e-4
    assert 0.3 < chosen.accuracy < 1.0
    assert (chosen.answers(noisy) == y).mean() > chosen.accuracy
    again = fit_linear(noisy, y, 3, method=method)
    assert np.array_equal(again.weight, chosen.weight)


def test_a_feature_that_never_changes_is_harmless() -> None:
    x, y = blobs()
    constant = np.concatenate([x, np.full((len(x), 1), 3e4, np.float32)], 1)
    fitted = fit_logistic(constant, y, 3, 0.01)
    assert np.isfinite(fitted.weight).all()
    assert (fitted.answers(constant) == fit_logistic(x, y, 3, 0.01).answers(x)).all()
