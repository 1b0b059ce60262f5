"""Testing as in the papers: ten crops, and whole images that the network slides over."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from striate import data, inference, runs, zoo
from striate.contract import Class, Contract, Resize
from striate.errors import DesignError, UsageError
from striate.inference.views import Averaged, crop_views, sliding, ten_crops, whole_views
from striate.layers import build

HALF = Contract(
    classes=(Class(id="a", label="a"), Class(id="b", label="b")),
    channels="rgb",
    size=(12, 12),
    resize=Resize(rule="short_side", size=(16, 16)),
    crop="centre",
    mean=(0.5, 0.4, 0.3),
    std=(0.2, 0.3, 0.4),
)


def samples(*sizes: tuple[int, int]) -> data.Samples:
    random = np.random.default_rng(0)
    parts = [random.integers(0, 256, (1, *size, 3)).astype(np.uint8) for size in sizes]
    return data.ArraySamples(np.concatenate(parts), [0] * len(parts), [str(k) for k in range(9)])


def test_ten_crops_are_corners_centre_and_mirror_images() -> None:
    image = np.arange(2 * 5 * 6).reshape(2, 5, 6)
    crops = ten_crops(image, (3, 2))
    assert crops.shape == (10, 2, 3, 2)
    np.testing.assert_array_equal(crops[0], image[:, :3, :2])
    np.testing.assert_array_equal(crops[1], image[:, :3, -2:])
    np.testing.assert_array_equal(crops[2], image[:, -3:, :2])
    np.testing.assert_array_equal(crops[3], image[:, -3:, -2:])
    np.testing.assert_array_equal(crops[4], image[:, 1:4, 2:4])
    np.testing.assert_array_equal(crops[5:], crops[:5, ..., ::-1])


def test_the_centre_of_ten_crops_is_what_the_contract_makes() -> None:
    images = samples((20, 26))
    (batch,) = crop_views(images, HALF, range(1))
    prepared = data.prepare(images.pixels(0, HALF), HALF)
    np.testing.assert_array_equal(batch.images[0, 4].numpy(), prepared)


def test_a_contract_without_a_margin_gets_one() -> None:
    bare = HALF.replace(crop="none", resize=Resize(rule="exact", size=(12, 12)))
    (batch,) = crop_views(samples((12, 12)), bare, range(1))
    assert batch.images.shape == (1, 10, 3, 12, 12)
    assert not torch.equal(batch.images[0, 0], batch.images[0, 3])


def test_whole_images_keep_their_proportions_and_come_with_their_mirror_image() -> None:
    images = samples((20, 40), (20, 40))
    (batch,) = whole_views(images, HALF, range(2), 10)
    assert batch.images.shape == (2, 2, 3, 10, 20)
    assert torch.equal(batch.images[:, 1], batch.images[:, 0].flip(-1))
    assert batch.indices.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("spec", "shape"), [("mlp(hidden=(9,))", (2, 5, 5)), ("vgg11(hidden=8)", (3, 224, 224))]
)
def test_a_net_that_slides_answers_each_window(spec: str, shape: tuple[int, ...]) -> None:
    net = build(zoo.network(spec, classes=4, input=shape), seed=1).eval()
    slides = sliding(net)
    step = 1 if shape[1] == 5 else 32
    wide = torch.randn(1, *shape[:2], shape[2] + step, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        answers = slides(wide)
        assert answers.shape == (1, 4, 1, 2)
        if step == 1:  # without padding every window's answer is the network's own
            torch.testing.assert_close(answers[..., 0, 0], net(wide[..., : shape[2]]))
            torch.testing.assert_close(answers[..., 0, 1], net(wide[..., step:]))
        alone = net(wide[..., : shape[2]])
        torch.testing.assert_close(slides(wide[..., : shape[2]]).flatten(1), alone)


def test_a_net_with_global_pooling_is_taken_as_it_is() -> None:
    net = build(zoo.network("resnet20(width=4)", classes=3, input=(3, 32, 32)), seed=1).eval()
    assert sliding(net) is net


def test_a_net_that_cannot_slide_says_so() -> None:
    adaptive = zoo.network("vgg11(hidden=8)", classes=4, input=(3, 300, 300))
    with pytest.raises(DesignError, match="--scales has no meaning for it"):
        sliding(build(adaptive, seed=1))


def test_probabilities_are_averaged_over_views() -> None:
    likely = Averaged(torch.nn.Flatten(), "logits")(torch.tensor([[[0.0, 0.0], [0.0, 50.0]]]))
    torch.testing.assert_close(likely, torch.tensor([[0.25, 0.75]]))
    far = Averaged(torch.nn.Flatten(), "distances")(torch.tensor([[[0.0, 50.0]]]))
    torch.testing.assert_close(far, torch.tensor([[1.0, 0.0]]))
    shares = Averaged(torch.nn.Flatten(), "probabilities")(torch.tensor([[[1.0, 3.0]]]))
    torch.testing.assert_close(shares, torch.tensor([[0.25, 0.75]]))


def test_the_single_crop_stands_beside_the_others(trained: runs.Run) -> None:
    plain = inference.evaluate(trained)
    found = inference.evaluate(trained, crops="ten", scales=(16, 20))
    assert found.test == plain.test and plain.tested == ()
    assert [(each.way, each.views) for each in found.tested] == [
        ("10 crops", 10),
        ("scale 16, whole images", 2),
        ("scale 20, whole images", 2),
        ("scales 16, 20 together", 4),
    ]
    assert all(each.accuracy == 1.0 and each.gain == 0.0 for each in found.tested)
    assert found.tested[3].loss == pytest.approx(
        np.mean([each.loss for each in found.tested[1:3]]), rel=0.05
    )


def test_a_scale_that_no_image_can_have_is_refused(trained: runs.Run) -> None:
    with pytest.raises(UsageError, match=r"Expected scales of at least 16 .*, received 8"):
        inference.evaluate(trained, scales=(8,))
    with pytest.raises(UsageError, match=r"Expected scales of at most 9,459, received 20000"):
        inference.evaluate(trained, scales=(20_000,))
