"""Adversarial training on MNIST, whole: slow, and run by hand before a release."""

from __future__ import annotations

from pathlib import Path

import pytest

from striate import attack, recipes, train
from striate.data import open as open_data


@pytest.mark.slow
def test_a_thin_net_trained_under_attack_survives_pgd(mnist: Path, tmp_path: Path) -> None:
    """Filters of 16 and 32, six minutes of one core: 85% within 0.3 under 40 steps of 0.01."""
    data = open_data(str(mnist))
    recipe = recipes.make("pgd_adversarial", data, device="cpu")
    train.train(recipe, out=tmp_path / "run", dataset=data)
    means = attack.Means(eps=(0.25, 0.3), count=2000, step=0.01)
    found = attack.assault(tmp_path / "run", out=tmp_path / "attack", means=means, device="cpu")
    rows = {(row.attack, row.eps): row for row in found.table.rows}
    assert rows["PGD-40", 0.3].accuracy >= 0.85
    assert rows["FGSM", 0.25].accuracy >= 0.9
    assert rows["clean", 0.0].accuracy >= 0.97
    assert found.table.trusted
