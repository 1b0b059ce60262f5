"""Mean image and whitening, against numpy and against what whitening means."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from striate import data
from striate.contract import Class, Contract
from striate.data.contact_sheet import contact_sheet, departures
from striate.data.whitening import measure_whitening

TO = Contract(
    classes=(Class(id="a", label="a"),),
    channels="rgb",
    size=(4, 5),
    mean=(0.5, 0.4, 0.3),
    std=(0.2, 0.25, 0.3),
)


@pytest.fixture(scope="module")
def samples() -> data.ArraySamples:
    """Images whose neighbouring pixels are alike, as those of photographs are."""
    chance = np.random.default_rng(0)
    rough = chance.integers(0, 256, (700, 5, 6, 3)).astype(np.float64)
    smooth = (rough[:, 1:, 1:] + rough[:, :-1, 1:] + rough[:, 1:, :-1] + rough[:, :-1, :-1]) / 4
    count = len(smooth)
    images = smooth.astype(np.uint8)
    return data.ArraySamples(images, np.zeros(count, np.int64), [str(n) for n in range(count)])


def seen(samples: data.ArraySamples) -> torch.Tensor:
    slope, offset = (np.array(each) for each in TO.forward)
    made = (samples.images * slope + offset).transpose(0, 3, 1, 2)
    return torch.from_numpy(made.astype(np.float32))


def test_the_mean_image_is_the_mean_of_each_pixel(samples: data.ArraySamples) -> None:
    found = measure_whitening(samples, TO, "mean_image", 0.1)
    assert found is not None and found.matrix is None
    exact = seen(samples).numpy().mean(0, dtype=np.float64)
    np.testing.assert_allclose(found.mean.numpy(), exact, atol=1e-6)
    assert found(seen(samples)).mean(0).abs().max() < 1e-5
    assert list(found.tensors()) == ["mean_image.weight"]


def test_whitened_values_have_no_correlation_and_unit_variance(samples: data.ArraySamples) -> None:
    found = measure_whitening(samples, TO, "zca", 1e-6)
    assert found is not None and found.matrix is not None
    white = found(seen(samples))
    assert white.shape == (700, 3, 4, 5)
    before, after = (np.cov(each.flatten(1).numpy().T) for each in (seen(samples), white))
    assert np.abs(before - np.diag(np.diag(before))).max() > 0.1
    np.testing.assert_allclose(after, np.eye(60), atol=5e-3)
    matrix = found.matrix.double().numpy()  # of all that whiten, the symmetric one
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-5)
    assert np.linalg.eigvalsh(matrix).min() > 0


def test_epsilon_leaves_directions_of_little_variance_alone(samples: data.ArraySamples) -> None:
    found = measure_whitening(samples, TO, "zca", 0.1)
    assert found is not None and found.matrix is not None
    x = seen(samples).flatten(1).double().numpy()
    values, axes = np.linalg.eigh(np.cov(x.T, bias=True))
    exact = axes @ np.diag((values + 0.1) ** -0.5) @ axes.T
    np.testing.assert_allclose(found.matrix.numpy(), exact, atol=1e-4)


def test_nothing_is_measured_where_nothing_is_asked(samples: data.ArraySamples) -> None:
    assert measure_whitening(samples, TO, "none", 0.1) is None


def test_a_sheet_shows_what_is_left(samples: data.ArraySamples) -> None:
    found = measure_whitening(samples, TO, "mean_image", 0.1)
    assert found is not None
    changed, plain = (
        contact_sheet(samples, TO, (), images=2, epochs=1, whitening=each).svg()
        for each in (found, None)
    )
    assert "mean image" in changed and "mean image" not in plain and changed != plain
    nothing = departures(np.zeros((3, 4, 5), np.float32), TO)
    assert nothing.shape == (4, 5, 3) and (nothing == 128).all()
