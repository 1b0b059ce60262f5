"""Every recipe is a value that stands on its own; the choice among them follows the images."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor, nn

from striate import data, layers, recipes, zoo
from striate.contract import Class
from striate.errors import DesignError, RecordError, UnknownName, UsageError
from striate.recipes import DataFacts, Wish
from striate.records import from_json, to_json
from striate.train import CrossEntropy, DistanceLoss, Recipe


def facts(
    size: tuple[int, int] = (32, 32), count: int = 50_000, channels: str = "rgb"
) -> DataFacts:
    return DataFacts(
        name="some",
        path="/data/some",
        count=count,
        classes=7,
        channels="grey" if channels == "grey" else "rgb",
        size=size,
        uniform=True,
    )


@pytest.mark.parametrize("name", recipes.names())
@pytest.mark.parametrize("gpu", [False, True])
@pytest.mark.parametrize("channels", ["grey", "rgb"])
def test_every_recipe_is_a_document_that_fits_together(name: str, gpu: bool, channels: str) -> None:
    size = {"tiny_images": (8, 8), "photographs": (160, 213)}.get(name, (28, 28))
    made = recipes.get(name)(facts(size, channels=channels), Wish(gpu=gpu))
    assert from_json(Recipe, to_json(made)) == made
    assert made.name == name and made.reason and "\n" not in made.reason
    assert made.network.classes == 7 and made.data.path == "/data/some"
    shape = (made.preprocessing.channel_count, *made.preprocessing.size)
    assert made.network.input_shape == shape


def test_the_objective_fits_what_the_network_answers() -> None:
    """Distances are minimised, not taken for logits; the reason says so in its one line."""
    mnist = facts((28, 28), 60_000, "grey").replace(classes=10)
    made = recipes.make("auto", mnist, network="lenet5_1998")
    assert made.name == "lenet5_1998" and made.objective == DistanceLoss()
    assert made.reason.count("so it minimises the distance loss") == 1
    prepared = made.preprocessing
    contract = prepared.contract((Class(id="0", label="0"),), (0.0,), (1.0,), "distances")
    (slope,), (offset,) = contract.forward
    assert (contract.size, contract.output) == ((32, 32), "distances")
    assert offset == pytest.approx(-0.1) and 255 * slope + offset == pytest.approx(1.175)
    other = recipes.make("small_images", mnist, network="lenet5_1998", size=(32, 32))
    assert other.objective == DistanceLoss()
    assert other.reason.endswith("outputs are distances, so it minimises the distance loss")
    back = recipes.make("lenet5_1998", mnist, network="lenet")
    assert back.objective == CrossEntropy() and "distances" not in back.reason
    assert recipes.make("auto", mnist, network="lenet").name == "small_images"


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_says_how_to_run_it_and_what_it_gives(name: str) -> None:
    said = recipes.get(name).__doc__ or ""
    for part in ("Command: `striate train", "Hardware: ", "Time: ", "Accuracy: ", "Source"):
        assert f"\n    {part}" in said


@pytest.mark.parametrize(
    ("size", "name"),
    [
        ((8, 8), "tiny_images"),
        ((16, 20), "tiny_images"),
        ((28, 28), "small_images"),
        ((40, 500), "small_images"),
        ((64, 64), "photographs"),
        ((480, 640), "photographs"),
    ],
)
def test_the_choice_follows_the_size_of_the_images(size: tuple[int, int], name: str) -> None:
    assert recipes.choose(facts(size)) == name
    assert recipes.make("auto", facts(size)).name == name


@pytest.mark.parametrize("count", [1, 30, 1_000, 60_000, 2_000_000])
def test_any_number_of_images_gives_a_recipe(count: int) -> None:
    for size in ((8, 8), (28, 28), (200, 200)):
        assert recipes.make("auto", facts(size, count)).epochs >= 1


def test_the_paper_counts_iterations() -> None:
    made = recipes.make("resnet20_cifar10", facts(count=50_000))
    steps = -(-45_000 // 128)
    assert made.epochs == 182 and abs(made.epochs * steps - 64_000) < steps
    assert [round(at * steps) for at in made.schedule.at] == [32_000, 48_000]  # type: ignore[attr-defined]
    assert made.network.parameter_count() == 269_722 - 3 * 65
    assert made.decay_on_norms_and_biases and made.optimiser.decay == 1e-4


def test_facts_are_the_data_sets() -> None:
    found = recipes.facts_of(data.open("digits"))
    assert found == DataFacts(
        name="digits",
        path="digits",
        count=1797,
        classes=10,
        channels="grey",
        size=(8, 8),
        uniform=True,
    )
    assert (found.short_side, found.channel_count) == (8, 1)


def test_settings_come_last_and_network_and_device_are_resolved() -> None:
    made = recipes.make(
        "auto",
        facts(),
        network="resnet32",
        device="cpu",
        settings=["epochs=3", "optimiser.rate=0.5", "schedule=constant"],
    )
    assert made.network.name == "resnet32" and "resnet32, as asked" in made.reason
    assert (made.epochs, made.optimiser.rate, made.device) == (3, 0.5, "cpu")


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"name": "photograph"}, UnknownName, "no recipe named 'photograph'. Did you mean photogr"),
        ({"network": "resnet21"}, UnknownName, "no network named 'resnet21'. Did you mean resnet"),
        ({"settings": ["epoch=3"]}, UnknownName, "no setting named 'epoch'. Did you mean epochs"),
        ({"settings": ["epochs=many"]}, RecordError, "expected an integer, received 'many'"),
        ({"settings": ["epochs"]}, RecordError, "Expected key=value, received 'epochs'"),
        ({"settings": ["schedule=cosin"]}, UnknownName, "Did you mean cosine"),
        ({"settings": ["schedule.hue=1"]}, UnknownName, "named 'schedule.hue'. Known: "),
        ({"settings": ["augmentation=[3]"]}, RecordError, "expected an augmentation (flip, "),
        ({"settings": ["schedule=3"]}, RecordError, "expected a schedule (constant, "),
        ({"name": "tiny"}, UnknownName, "There is no recipe named 'tiny'. Did you mean tiny_im"),
        ({"device": "abacus"}, UsageError, "device='abacus'"),
        (
            {"network": "conv3-4 maxpool*5 FC-3"},
            DesignError,
            "images of 32x32 and larger, received 20x20: .* or choose a size of at least 32x32 "
            "(--size 32)",
        ),
        (
            {"network": "vgg11"},
            DesignError,
            "vgg11 takes images of 32x32 and larger, received 20x20",
        ),
    ],
)
def test_mistakes_are_named(
    change: dict[str, object], error: type[Exception], sentence: str
) -> None:
    arguments = {"name": "auto", **change}
    with pytest.raises(error, match=sentence.replace("(", r"\(").replace(")", r"\)")):
        recipes.make(arguments.pop("name"), facts((20, 20)), **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("network", [n for n in zoo.names() if not zoo.entry(n).per_position])
@pytest.mark.parametrize(
    ("size", "channels"),
    [((8, 8), "grey"), ((28, 28), "grey"), ((32, 32), "rgb"), ((90, 120), "rgb")],
)
def test_any_network_fits_or_says_the_size_that_would(
    network: str, size: tuple[int, int], channels: str
) -> None:
    try:
        made = recipes.make("auto", facts(size, channels=channels), network=network)
    except DesignError as error:
        assert size != (90, 120), "photographs are scaled to what the network takes"
        assert error.layer and error.layer in str(error) and "\n" not in str(error)
        found = re.fullmatch(
            rf"{network} takes images of (\d+)x\1 and larger, received {size[0]}x{size[1]}: .*: "
            r"choose a size of at least \1x\1 \(--size \1\)\.",
            str(error),
        )
        assert found, str(error)
        least = (int(found[1]), int(found[1]))
        made = recipes.make("auto", facts(size, channels=channels), network=network, size=least)
        assert f"scaled to {least[0]}x{least[1]}: {network}, as asked" in made.reason
        assert made.preprocessing.size == made.preprocessing.resize.size == least
    assert made.network.input_shape == (made.preprocessing.channel_count, *made.preprocessing.size)
    for each in made.sizes:
        smaller = made.network.with_input((made.preprocessing.channel_count, *each.size))
        assert smaller.parameters() == made.network.parameters()


def test_photographs_grow_only_for_networks_of_any_size() -> None:
    own = recipes.make("photographs", facts((90, 120)))
    assert [each.size for each in own.sizes] == [(64, 64), (96, 96)]
    assert "on random crops of 64 and later 96 pixels, used at 128" in own.reason
    asked = recipes.make("photographs", facts((90, 120)), size=(64, 96))
    assert [each.size for each in asked.sizes] == [(32, 48), (48, 72)]
    fixed = recipes.make("photographs", facts((90, 120)), network="lenet")
    assert fixed.sizes == () and fixed.reason.endswith("on random crops of 128 pixels")


def test_a_recipe_takes_paper_notation() -> None:
    made = recipes.make("auto", facts((28, 28)), network="conv3-8 maxpool FC")
    assert made.network.classes == 7 and made.network.input_shape == (3, 28, 28)


@pytest.mark.parametrize("name", ["auto", *recipes.names()])
def test_a_recipe_takes_a_network_that_no_room_knows(name: str) -> None:
    own = layers.describe(Own(), (3, 32, 32))
    recipes.check(name, network=own)
    made = recipes.make(name, facts((32, 32)), network=own)
    assert [type(each) for each in made.network.layers] == [type(each) for each in own.layers]
    assert (made.network.classes, made.network.input_shape[0]) == (7, 3)
    assert "Own, as asked" in made.reason
    with pytest.raises(UsageError, match=r"received a Own: striate.describe\(module"):
        recipes.make(name, facts((32, 32)), network=Own())  # type: ignore[arg-type]


class Own(nn.Module):
    """What nobody registered and notation cannot write: a gate."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.classes = nn.Conv2d(3, 8, 3), nn.Linear(8, 12)

    def forward(self, x: Tensor) -> Tensor:
        """Return scores, (n, 12), of (n, 3, height, width)."""
        x = nn.functional.silu(self.stem(x))
        return self.classes((x * torch.sigmoid(x.mean((2, 3), keepdim=True))).mean((2, 3)))


def test_a_name_is_given_once() -> None:
    with pytest.raises(ValueError, match="photographs already"):
        recipes.register(recipes.photographs)
