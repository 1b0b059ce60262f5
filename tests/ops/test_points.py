"""The matrices of minimal filtering: exact as such, and as the vectors' program computes them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from striate.ops.assembly import Function, Lanes
from striate.ops.native import compile_functions
from striate.ops.points import POINTS, Matrix, transforms
from striate.ops.tiles import combine

FORMS = [
    (outputs, length - outputs + 1)
    for length in POINTS
    for outputs in (1, 2, 4, 6)
    if length - outputs + 1 in (1, 3, 5, 7)
]


@pytest.mark.parametrize(("outputs", "taps"), FORMS)
def test_minimal_filtering_is_correlation(outputs: int, taps: int) -> None:
    generator = np.random.default_rng(0)
    data, filters = generator.normal(size=outputs + taps - 1), generator.normal(size=taps)
    found = transforms(outputs, taps)
    products = (found.filters @ filters) * (found.inputs @ data)
    expected = np.correlate(data, filters, "valid")
    np.testing.assert_allclose(found.outputs @ products, expected, atol=1e-12)


@pytest.mark.parametrize(("outputs", "taps"), [(2, 3), (4, 3), (6, 3), (4, 5)])
def test_the_points_keep_rounding_small(outputs: int, taps: int) -> None:
    """Amplification: what errors of one part can become, by the matrices' absolute values."""
    found = [np.abs(each) for each in transforms(outputs, taps)]
    inputs, filters, back = (each.sum(1) for each in found)
    worst = float((found[2] @ (inputs * filters)).max())
    assert worst < {4: 20, 6: 80, 8: 800}[outputs + taps - 1]
    assert back.min() > 0


@pytest.mark.parametrize("which", ["inputs", "filters", "outputs"])
@pytest.mark.parametrize(("outputs", "taps"), FORMS)
@pytest.mark.parametrize("turned", [False, True])
def test_the_shortened_program_is_the_matrix(
    outputs: int, taps: int, which: str, turned: bool
) -> None:
    matrix: Matrix = getattr(transforms(outputs, taps), which)
    matrix = matrix.T if turned else matrix
    values = torch.randn(matrix.shape[1], 4, generator=torch.Generator().manual_seed(0))

    class Traced:
        """A vector of numbers with the arithmetic of `Lanes`."""

        def __init__(self, value: torch.Tensor) -> None:
            self.value, self.code = value.double(), self

        def constant(self, number: float) -> Traced:
            return Traced(torch.full((4,), number, dtype=torch.float64))

        def __add__(self, other: Traced) -> Traced:
            return Traced(self.value + other.value)

        def __sub__(self, other: Traced) -> Traced:
            return Traced(self.value - other.value)

        def __mul__(self, other: Traced) -> Traced:
            return Traced(self.value * other.value)

        def times_plus(self, factor: Traced, term: Traced) -> Traced:
            return self * factor + term

    found = combine(matrix, [Traced(each) for each in values])  # type: ignore[misc]
    expected = torch.from_numpy(matrix.copy()) @ values.double()
    torch.testing.assert_close(torch.stack([each.value for each in found]), expected)


def test_vectors_mask_their_tail(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is beyond the count is neither read (it counts as zero) nor written."""
    from striate.ops import native

    monkeypatch.setattr(native, "cache_folder", lambda: tmp_path)
    code = Function("tail", "source target count room", lanes=8, pieces="first last")
    mask = code.mask(code.count)
    value: Lanes = code.load_masked(code.source, mask)
    code.store(value, code.target)
    code.store_masked(value + value, code.target + 32, mask)
    run = compile_functions("a test", [code])["tail"]
    source, target = torch.arange(1.0, 9.0), torch.full((16,), -1.0)
    run(source.data_ptr(), target.data_ptr(), 3, pieces=[(0, 1)])
    assert target.tolist() == [1, 2, 3, 0, 0, 0, 0, 0, 2, 4, 6, -1, -1, -1, -1, -1]
