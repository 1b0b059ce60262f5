"""What preflight cannot be asked of is refused in one sentence; what it can be asked of is not."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from striate.doctor import Check, Subject, check_module, register
from striate.errors import UsageError

IMAGES = torch.randn(40, 1, 4, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(40) % 3


class Returning(nn.Module):
    """A linear classifier whose scores go through any function, as what forward returns."""

    def __init__(self, function: Callable[[Tensor], Any], heads: int = 1) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.heads = nn.ModuleList(nn.Linear(16, 3) for _ in range(heads))
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(*(head(x.flatten(1)) for head in self.heads))


def plain() -> nn.Module:
    return Returning(lambda scores: scores)


def checked(net: nn.Module, images: Tensor = IMAGES, labels: Tensor = LABELS) -> dict[str, Check]:
    subject = Subject(net, images, labels, classes=3, held_out=(images[:20], labels[:20]))
    return {each.check: each for each in check_module(subject, trainings=False)}


@pytest.mark.parametrize(
    ("images", "labels", "sentence"),
    [
        (IMAGES, LABELS + 1, "labels from 0 to 2 for 3 classes, received 1 to 3. Subtract 1"),
        (IMAGES, LABELS - 1, "received -1 to 1. Leave out images without a label"),
        (IMAGES, LABELS + 5, "received 5 to 7. See that classes="),
        (IMAGES, functional.one_hot(LABELS), r"received \(40, 3\).*labels.argmax\(1\)"),
        (IMAGES, LABELS[:, None], r"received \(40, 1\). Use labels.flatten"),
        (IMAGES, LABELS.float(), r"received torch.float32. Use labels.long\(\)"),
        (IMAGES, LABELS.numpy(), "received a ndarray"),
        (IMAGES, LABELS[:9], "received 40 images and 9 labels"),
        (IMAGES[:1], LABELS[:1], "at least two images with a label each, received 1"),
        ((40 * IMAGES).to(torch.uint8), LABELS, r"received torch.uint8.*images.float\(\) / 255"),
        (IMAGES.numpy(), LABELS, "tensor of floats, received ndarray"),
    ],
)
def test_images_and_labels_that_cannot_be_asked_about(
    images: Any, labels: Any, sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        checked(plain(), images, labels)


def refuses(scores: Tensor) -> Tensor:
    assert len(scores) == 7, "want seven"
    return scores


@pytest.mark.parametrize(
    ("net", "sentence"),
    [
        (Returning(refuses), "in training it does not, received AssertionError: want seven"),
        (Returning(lambda scores: {}["a"]), "received KeyError: 'a'"),
        (Returning(lambda scores: None), "received NoneType"),
        (Returning(lambda scores: scores.argmax(1)), r"received \(2,\)"),
        (Returning(lambda scores: (scores > 0).long()), r"received \(2, 3\) of torch.int64"),
        (nn.Sequential(nn.Flatten(), nn.LazyLinear(3)), "received 1.weight of a lazy layer"),
    ],
)
def test_networks_that_cannot_be_asked(net: nn.Module, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        checked(net)


def test_a_forward_that_fails_in_evaluation_only() -> None:
    net = Returning(lambda scores: scores if net.training else scores.nothing)  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match="in evaluation it does not, received AttributeError"):
        checked(net)


@pytest.mark.parametrize("kind", [torch.uint8, torch.int16, torch.int32])
def test_integer_labels_of_any_kind_are_those_of_long_ones(kind: torch.dtype) -> None:
    assert checked(plain(), labels=LABELS.to(kind)) == checked(plain())


@pytest.mark.parametrize("several", [lambda a, b: (a, b), lambda a, b: [a, b]])
def test_the_first_of_several_outputs_is_the_main_one_and_all_have_a_loss(
    several: Callable[[Tensor, Tensor], Any],
) -> None:
    found = checked(Returning(several, heads=2))
    named = checked(Returning(lambda a, b: {"main": a, "second": b}, heads=2))
    assert found == named
    assert found["gradients_arrive"].verdict == "pass"
    assert found["initial_loss"].measured == checked(plain())["initial_loss"].measured


def test_features_beside_the_scores_have_no_loss() -> None:
    found = checked(Returning(lambda scores: (scores, scores.new_zeros(len(scores), 64))))
    assert {each.verdict for each in found.values()} <= {"pass", "skip", "warn"}


def test_a_network_that_stops_in_a_check_has_failed_it_in_words() -> None:
    def two(scores: Tensor) -> Tensor:
        return scores.view(2, 3)

    found = checked(Returning(two))
    stopped = [each for each in found.values() if each.verdict == "fail"]
    assert [each.check for each in stopped] == ["all_finite"]  # and none is asked that would stop
    assert stopped[0].meaning.startswith("the network stopped with RuntimeError: shape '[2, 3]'")

    def in_no_gradient(scores: Tensor) -> Tensor:
        assert not torch.is_grad_enabled(), "no gradients"
        return scores

    found = checked(Returning(in_no_gradient))
    assert found["gradients_arrive"].meaning.endswith("with AssertionError: no gradients")
    assert found["initial_loss"].verdict == "pass"


def test_a_registered_check_that_stops_is_not_held_against_the_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    room = importlib.import_module("striate.doctor.preflight")  # a function has its name, too
    monkeypatch.setattr(room, "_OWN", {})

    @register
    def divides(subject: Subject) -> Check:
        raise ZeroDivisionError("by nothing")

    @register
    def asks_ten(subject: Subject) -> Check:
        subject.net(subject.images[:, :, :2])
        raise AssertionError("the network had to stop")

    found = checked(plain())
    assert found["divides"].verdict == "warn"
    assert found["divides"].meaning == "the check itself stopped with ZeroDivisionError: by nothing"
    assert found["asks_ten"].verdict == "fail"
    assert found["asks_ten"].meaning.startswith("the network stopped with RuntimeError")


class Constant(nn.Module):
    """The same scores whatever the image."""

    def __init__(self) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.scores.expand(len(x), 3)


def test_answers_that_do_not_depend_on_the_image() -> None:
    assert checked(plain())["images_matter"].verdict == "pass"
    assert checked(Constant())["images_matter"].verdict == "fail"
    assert checked(Returning(torch.zeros_like))["images_matter"].verdict == "fail"
    head = Returning(lambda scores: scores)
    nn.init.zeros_(head.heads[0].weight)  # type: ignore[arg-type]
    assert checked(head)["images_matter"].verdict == "pass"  # the first step will move it
    found = check_module(Subject(Constant(), IMAGES, LABELS, 3, held_out=(IMAGES, LABELS)))
    assert {each.check: each.verdict for each in found}["overfits_few"] == "fail"
