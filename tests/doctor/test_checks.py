"""The checks on networks and loaders that were added to preflight: each fails on what it is for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from tests.doctor.test_diagnose import prepared, recipe
from torch import nn
from torch.nn import functional

from striate import data, doctor
from striate.contract import Contract
from striate.data import Affine, Flip, Loader
from striate.data.samples import ArraySamples
from striate.data.sampling import Sampling
from striate.doctor import Subject, feed, start
from striate.randomness import stream

_TURNED = (Affine(rotate_degrees=25.0),)


def subject(*layers: nn.Module, **more: object) -> Subject:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3), *layers)
    images = torch.randn(40, 1, 4, 4)
    return Subject(net, images, torch.arange(40) % 3, 3, **more)  # type: ignore[arg-type]


def loader(kind: type[Loader] = Loader, **options: object) -> Loader:
    digits = data.open("digits")
    contract = Contract(
        classes=digits.classes, channels="grey", size=(8, 8), mean=(0.3,), std=(0.4,)
    )
    whole = digits.parts["all"]
    inorder = whole.subset(np.argsort(whole.labels, kind="stable"))
    chosen = {"batch": 64, "seed": 0, "shuffle": True, **options}
    return kind(inorder, contract, **chosen)  # type: ignore[arg-type]


def test_features_that_start_alike() -> None:
    made = subject()
    assert start.features_differ(made).verdict == "pass"
    with torch.no_grad():
        made.net[1].weight.fill_(0.1)  # type: ignore[index]
    assert start.features_differ(made).verdict == "fail"


def test_a_last_layer_that_starts_at_zero_is_healthy() -> None:
    made = subject()
    with torch.no_grad():
        made.net[3].weight.zero_()  # type: ignore[index]
        made.net[3].bias.zero_()  # type: ignore[index]
    assert start.features_differ(made).verdict == "pass"
    assert start.activation_scale(made).verdict == "pass"
    with torch.no_grad():
        made.net[1].weight.zero_()  # type: ignore[index]
        made.net[1].bias.zero_()  # type: ignore[index]
    found = start.features_differ(made)
    assert found.verdict == "fail" and found.meaning.endswith("and would stay alike")


def test_many_classes_at_zero_of_which_few_have_an_image() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 200))
    nn.init.zeros_(net[1].weight)
    few = Subject(net, torch.randn(8, 1, 4, 4), torch.arange(8), 200)
    assert start.features_differ(few).verdict == "pass"


def test_zeros_behind_zeros_are_asked_after_a_step() -> None:
    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(16, 8), nn.Linear(8, 8)
            self.last = nn.Linear(8, 3)
            nn.init.zeros_(self.second.weight)
            nn.init.zeros_(self.last.weight)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.first(x.flatten(1)).relu()
            out: torch.Tensor = self.last(y + self.second(y))
            return out

    torch.manual_seed(0)
    made = Subject(Fixed(), torch.randn(40, 1, 4, 4), torch.arange(40) % 3, 3)
    assert start.features_differ(made).verdict == "pass"
    assert not bool(made.net.second.weight.any())  # type: ignore[union-attr, operator]


def test_a_black_image_has_no_gain_and_no_fading() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3)
    )
    black = Subject(net, torch.full((64, 1, 6, 6), -0.4), torch.arange(64) % 3, 3)
    assert start.layer_gain(black).verdict == "skip"
    found = start.activation_scale(black)
    assert (found.verdict, found.meaning) == ("skip", "there is no signal to follow")


def test_probabilities_taken_for_scores() -> None:
    assert start.scores_not_probabilities(subject()).verdict == "pass"
    assert start.scores_not_probabilities(subject(nn.Softmax(1))).verdict == "fail"
    given = subject(nn.Softmax(1), answer="probabilities")
    assert start.scores_not_probabilities(given).verdict == "skip"


class Scaled(nn.Module):
    """Scores times a scale: what makes them is no linear layer that the graph would name."""

    def __init__(self, seed: int, after: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.body, self.head = nn.Linear(16, 8), nn.Linear(8, 2)
        self.scale, self.after = nn.Parameter(torch.ones(())), after

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.after(self.scale * self.head(self.body(x.flatten(1)).relu()))


def two_classes(net: nn.Module, seed: int = 0) -> Subject:
    generator = torch.Generator().manual_seed(seed)
    return Subject(net, torch.randn(40, 1, 4, 4, generator=generator), torch.arange(40) % 2, 2)


def positive(net: nn.Module, last: nn.Linear) -> Subject:
    """Scores of two classes that are all positive, as a quarter of healthy starts have them."""
    with torch.no_grad():
        last.bias.copy_(torch.tensor([30.0, 20.0]))
    return two_classes(net)


def test_two_positive_scores_are_luck_where_other_weights_make_them_negative() -> None:
    torch.manual_seed(0)
    last = nn.Linear(8, 2)
    plain = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), last)
    pooled = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with torch.no_grad():
        pooled[0].bias.fill_(20.0)
    scaled = Scaled(0, nn.Identity())
    for made in (positive(plain, last), two_classes(pooled), positive(scaled, scaled.head)):
        assert bool((made.net(made.images) > 0).all())
        assert start.scores_not_probabilities(made).verdict == "pass"


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    "after", [torch.relu, torch.sigmoid, functional.softplus, nn.ReLU(inplace=True)]
)
def test_an_activation_behind_two_scores_is_found_whatever_the_draw(
    after: Callable[[torch.Tensor], torch.Tensor], seed: int
) -> None:
    made = Scaled(seed, after)
    with torch.no_grad():
        made.head.bias.fill_(1.0)  # so that few of them are exactly 0
    found = start.scores_not_probabilities(two_classes(made, seed))
    assert found.verdict == "fail" and "an activation" in found.meaning


def test_random_weights_that_are_frozen() -> None:
    made = subject()
    made.net[1].weight.requires_grad_(False)  # type: ignore[index]
    assert start.all_trained(made).verdict == "fail"
    begun = Subject(made.net, made.images, made.labels, 3, begun=True)
    assert start.all_trained(begun).verdict == "pass"


class SameDraws(Loader):
    """Draws the same for every image and epoch."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        if self.augmenter is not None:
            draw = self.augmenter.draw
            self.augmenter.draw = lambda chance: draw(  # type: ignore[method-assign]
                stream(self.seed, "augment", 0, np.zeros(len(chance.keys), np.int64))
            )


def test_augmentation_that_repeats_itself() -> None:
    assert feed.augmentation_varies(loader()).verdict == "skip"
    assert feed.augmentation_varies(loader(augmentation=_TURNED)).verdict == "pass"
    assert feed.augmentation_varies(loader(SameDraws, augmentation=_TURNED)).verdict == "fail"


def test_black_images_do_not_tell_whether_augmentation_varies() -> None:
    names = [str(each) for each in range(64)]
    black = ArraySamples(np.zeros((64, 8, 8, 1), np.uint8), np.arange(64) % 10, names)
    contract = loader().contract.replace(mean=(0.0,))
    made = Loader(black, contract, batch=64, seed=0, shuffle=True, augmentation=(Flip(),))
    assert feed.augmentation_varies(made).verdict == "skip"


def test_order_that_does_not_change() -> None:
    def verdict(**options: object) -> str:
        made = loader(**options)
        return feed.order_varies(made, made.samples.labels.tolist(), 10).verdict

    assert verdict() == "pass"
    assert verdict(batch=4) == "pass"
    assert verdict(shuffle=False) == "fail"
    assert verdict(batch=10_000) == "pass"  # one batch of all, in another order each time


def test_a_class_that_is_validated_and_never_trained() -> None:
    digits = data.open("digits").classes
    asked = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9]
    assert feed.classes_drawn(loader(batch=7), digits, asked).verdict == "pass"
    half = Sampling(classes=(1.0,) * 5 + (0.0,) * 5)
    found = feed.classes_drawn(loader(sampling=half), digits, asked)
    assert (found.verdict, found.measured) == ("fail", 5.0)
    assert "of 5, 6, 7, 8, 9, of which validation has 6 images" in found.meaning
    assert "sampling.classes" in found.fix
    assert feed.classes_drawn(loader(sampling=half), digits, [0, 1]).verdict == "warn"
    made = loader()
    made.samples = made.samples.subset(np.flatnonzero(made.samples.labels != 4))
    without = Loader(made.samples, made.contract, batch=64, seed=0, shuffle=True)
    found = feed.classes_drawn(without, digits, asked)
    assert found.verdict == "fail" and "of 4, of which" in found.meaning
    assert "the training part has images of it" in found.fix


def test_preflight_of_a_recipe_that_leaves_classes_out() -> None:
    half = recipe(sampling=Sampling(classes=(1.0,) * 5 + (0.0,) * 5))
    for made, verdict in ((recipe(), "pass"), (half, "fail")):
        found = {each.check: each.verdict for each in doctor.preflight(made, trainings=False)}
        assert found["classes_drawn"] == verdict


def test_weights_prepared_for_other_images(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = prepared(0.1, 0.3)
    for theirs, wanted in (
        (None, "skip"),
        (prepared(0.12, 0.3), "pass"),
        (prepared(0.9, 0.1), "fail"),
        (mine.replace(scale=1.0, mean=(25.5,), std=(76.5,)), "pass"),
    ):
        monkeypatch.setattr(feed, "start_contract", lambda recipe, theirs=theirs: theirs)
        assert feed.start_fits(recipe(), mine).verdict == wanted


def test_the_cheap_part_trains_nothing() -> None:
    found = {each.check for each in doctor.preflight(recipe(), trainings=False)}
    assert "overfits_few" not in found and "beats_shuffled_labels" not in found
    assert {"initial_loss", "augmentation_varies", "order_varies", "start_fits"} <= found
    assert not doctor.trainings_pay(recipe(epochs=3), 1000)
    assert doctor.trainings_pay(recipe(epochs=10), 50_000)
