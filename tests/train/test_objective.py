from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional

from striate import train
from striate.design import Network, Output, Sketch
from striate.errors import RecordError
from striate.records import decode, from_json, to_json
from striate.train.processes import Processes

ALONE = Processes(0, 1, torch.device("cpu"))


def rows(images: torch.Tensor, labels: torch.Tensor, seed: int = 0) -> train.Rows:
    return train.Rows(images, labels, 0, (1, 0), seed, ALONE)


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(6, 1, 8, 8, generator=generator), torch.tensor([0, 1, 2, 0, 1, 2])


def forward(images: torch.Tensor) -> torch.Tensor:
    return images.flatten(1)[:, :5] * 2


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_by_hand(
    batch: tuple[torch.Tensor, torch.Tensor],
    make_network: Callable[..., Network],
    smoothing: float,
) -> None:
    images, labels = batch
    loss = train.CrossEntropy(label_smoothing=smoothing).loss(forward, make_network(), rows(*batch))
    logits = forward(images).double().numpy()
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    target = np.full((6, 5), smoothing / 5)
    target[np.arange(6), labels.numpy()] += 1 - smoothing
    assert float(loss) == pytest.approx(-(target * log_p).sum(), rel=1e-6)


def test_distance_loss_by_hand(
    batch: tuple[torch.Tensor, torch.Tensor], make_network: Callable[..., Network]
) -> None:
    """y_D + log(exp(-j) + sum of exp(-y_k)), equation 9 of LeNet-5's paper."""
    images, labels = batch

    def distances(x: torch.Tensor) -> torch.Tensor:
        return forward(x).square()

    loss = train.DistanceLoss(garbage=3.0).loss(distances, make_network(), rows(*batch))
    y = distances(images).double().numpy()
    each = y[np.arange(6), labels.numpy()] + np.log(np.exp(-3.0) + np.exp(-y).sum(1))
    assert float(loss) == pytest.approx(each.sum(), rel=1e-6)


def test_only_near_classes_are_pushed_away(make_network: Callable[..., Network]) -> None:
    """Those beyond the garbage distance hardly feel it, and distances of thousands stay finite."""
    y = torch.tensor([[1.0, 2.0, 40.0], [5000.0, 6000.0, 7000.0]], requires_grad=True)
    labels = torch.tensor([0, 1])
    loss = train.DistanceLoss(garbage=10.0).loss(lambda x: y, make_network(), rows(y, labels))
    loss.backward()
    assert loss.isfinite() and y.grad is not None
    own, near, far = y.grad[0].tolist()
    assert own > 0 and near < -0.1 and abs(far) < 1e-12
    assert y.grad[1].tolist() == [0, 1, 0]  # nothing is near: only the right one is drawn in


def test_no_row_gives_a_loss_of_zero_with_a_gradient(make_network: Callable[..., Network]) -> None:
    images = torch.zeros(0, 1, 8, 8, requires_grad=True)
    for objective in (
        train.CrossEntropy(label_smoothing=0.1),
        train.Mixup(),
        train.Cutmix(),
        train.DistanceLoss(),
    ):
        none = rows(images, torch.zeros(0, dtype=torch.int64))
        loss = objective.loss(forward, make_network(), none)
        loss.backward()
        assert float(loss.detach()) == 0.0


def test_heads_count_with_the_weights_of_the_record(
    batch: tuple[torch.Tensor, torch.Tensor],
) -> None:
    pen = Sketch("two_heads", (1, 8, 8))
    pen.flatten()
    pen.linear("side", 5)
    pen.linear("classifier", 5, of="flatten")
    network = pen.finish(Output(name="aux", source="side", train_only=True, loss_weight=0.3))
    images, labels = batch
    both = train.CrossEntropy().loss(
        lambda x: {"logits": forward(x), "aux": -forward(x)}, network, rows(*batch)
    )
    one = functional.cross_entropy(forward(images), labels, reduction="sum")
    other = functional.cross_entropy(-forward(images), labels, reduction="sum")
    assert float(both) == pytest.approx(float(one + 0.3 * other), rel=1e-6)


def test_mixup_is_the_weighted_mean_of_both_losses(
    batch: tuple[torch.Tensor, torch.Tensor], make_network: Callable[..., Network]
) -> None:
    images, labels = batch
    seen: list[torch.Tensor] = []

    def watched(mixed: torch.Tensor) -> torch.Tensor:
        seen.append(mixed)
        return forward(mixed)

    loss = train.Mixup(alpha=1.0).loss(watched, make_network(), rows(*batch))
    share = float(((seen[0] - images.flip(0)) / (images - images.flip(0))).median())
    assert 0 < share < 1
    torch.testing.assert_close(seen[0], share * images + (1 - share) * images.flip(0))
    one = functional.cross_entropy(forward(seen[0]), labels, reduction="sum")
    other = functional.cross_entropy(forward(seen[0]), labels.flip(0), reduction="sum")
    assert float(loss) == pytest.approx(float(share * one + (1 - share) * other), rel=1e-4)


def test_cutmix_pastes_one_rectangle_and_mixes_labels_by_its_area(
    batch: tuple[torch.Tensor, torch.Tensor], make_network: Callable[..., Network]
) -> None:
    images, labels = batch
    for seed in range(20):
        seen: list[torch.Tensor] = []

        def watched(mixed: torch.Tensor, seen: list[torch.Tensor] = seen) -> torch.Tensor:
            seen.append(mixed)
            return forward(mixed)

        loss = train.Cutmix().loss(watched, make_network(), rows(images, labels, seed))
        pasted = (seen[0] == images.flip(0)) & (seen[0] != images)
        assert bool(((seen[0] == images) | pasted).all())
        share = 1 - pasted[0, 0].sum().item() / 64
        one = functional.cross_entropy(forward(seen[0]), labels, reduction="sum")
        other = functional.cross_entropy(forward(seen[0]), labels.flip(0), reduction="sum")
        assert float(loss) == pytest.approx(float(share * one + (1 - share) * other), rel=1e-5)


def test_objectives_are_records() -> None:
    mixed = train.Mixup(alpha=0.4, label_smoothing=0.1)
    assert from_json(train.Objective, to_json(mixed)) == mixed
    with pytest.raises(RecordError, match="0 <= label_smoothing < 1, received label_smoothing=1.5"):
        decode(train.Objective, {"kind": "cross_entropy", "label_smoothing": 1.5})
