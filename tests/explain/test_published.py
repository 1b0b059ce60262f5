"""Pictures made for the classes of a network that others published."""

from __future__ import annotations

from pathlib import Path

import pytest

from striate import explain, inference


@pytest.mark.slow
def test_pictures_made_for_classes_are_taken_for_them(published_weights: Path) -> None:
    """CIFAR-10's ResNet-20: at least nine of ten classes at 95% or more."""
    model = inference.open_model(
        next((published_weights / "cifar10_resnet_akamaster").glob("resnet20*.th"))
    )
    net, contract = inference.load(model), model.contract()
    sure = 0
    for target in range(10):
        made = explain.visualise(net, contract, explain.class_goal(net, target), steps=96)
        assert made.probabilities is not None
        sure += made.probabilities[0] >= 0.95
    assert sure >= 9
