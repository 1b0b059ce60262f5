"""Every recipe is a value that stands on its own; the choice among them follows the images."""

from __future__ import annotations

import pytest

from striate import data, recipes
from striate.errors import DesignError, RecordError, UnknownName, UsageError
from striate.recipes import DataFacts, Wish
from striate.records import from_json, to_json
from striate.train import Recipe


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


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_says_how_to_run_it(name: str) -> None:
    assert "Command: `striate train" in (recipes.get(name).__doc__ or "")


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
    assert made.network.name == "resnet32" and "but resnet32, as asked" in made.reason
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
        ({"device": "abacus"}, UsageError, "device='abacus'"),
        ({"network": "vgg11"}, DesignError, "vgg11 takes images of 32x32 and larger, received 20x20"),
    ],
)
def test_mistakes_are_named(
    change: dict[str, object], error: type[Exception], sentence: str
) -> None:
    arguments = {"name": "auto", **change}
    with pytest.raises(error, match=sentence.replace("(", r"\(")):
        recipes.make(arguments.pop("name"), facts((20, 20)), **arguments)  # type: ignore[arg-type]


def test_a_name_is_given_once() -> None:
    with pytest.raises(ValueError, match="photographs already"):
        recipes.register(recipes.photographs)
