"""Settings: the words of other libraries find the key, and options are named where they decide."""

from __future__ import annotations

import pytest

from striate.errors import RecordError, UnknownName, UsageError
from striate.recipes import DataFacts, check, make
from striate.recipes.settings import ALSO_CALLED, apply
from striate.train import Recipe


@pytest.fixture
def recipe() -> Recipe:
    return make(
        "small_images",
        DataFacts(
            name="some",
            path="/data/some",
            count=50_000,
            classes=7,
            channels="rgb",
            size=(32, 32),
            uniform=True,
        ),
    )


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("lr", "optimiser.rate"),
        ("learning_rate", "optimiser.rate"),
        ("optimizer.lr", "optimiser.rate"),
        ("optimiser.lr", "optimiser.rate"),
        ("batch_size", "batch"),
        ("weight_decay", "optimiser.decay"),
        ("momentum", "optimiser.momentum"),
        ("label_smoothing", "objective.label_smoothing"),
        ("epoch", "epochs"),
        ("Epochs", "epochs"),
        ("decay", "optimiser.decay or ema.decay"),
        ("validation", "data.validation"),
        ("preprocessing.meen", "preprocessing.mean"),
    ],
)
def test_a_guessed_key_finds_the_one_meant(recipe: Recipe, key: str, meant: str) -> None:
    sentence = rf"There is no setting named '{key}'\. Did you mean {meant}\?$"
    with pytest.raises(UnknownName, match=sentence):
        apply(recipe, [f"{key}=1"])


@pytest.mark.parametrize("key", sorted(set(ALSO_CALLED.values())))
def test_every_key_that_is_advised_exists(recipe: Recipe, key: str) -> None:
    value: object = recipe
    for part in key.split("."):
        assert part in value.__struct_fields__  # type: ignore[attr-defined]
        value = getattr(value, part)


def test_what_is_like_nothing_lists_what_there_is(recipe: Recipe) -> None:
    with pytest.raises(UnknownName, match=r"named 'zzz'\. Known: name, reason, network,"):
        apply(recipe, ["zzz=1"])
    with pytest.raises(UnknownName, match=r"'optimiser\.momentum'\. Known: rate, decay, betas"):
        apply(recipe, ["optimiser.momentum=0.9"])  # AdamW has none; SGD has


@pytest.mark.parametrize(
    ("setting", "instead"),
    [
        ("network=lenet", "--net lenet"),
        ("net=mlp(hidden=(9, 9))", r"--net 'mlp\(hidden=\(9, 9\)\)'"),
        ("preprocessing.size=[64,96]", "--size 64,96"),
        ("preprocessing.size.0=64", "--size HxW"),
        ("recipe=auto", "--recipe auto"),
        ("data.path=mnist", "striate train mnist"),
    ],
)
def test_what_an_option_decides_names_it(setting: str, instead: str) -> None:
    with pytest.raises(UsageError, match=f"^Instead of --set .*=..., say {instead}$"):
        check("auto", settings=[setting])


def test_a_setting_has_an_equals_sign() -> None:
    with pytest.raises(RecordError, match="Expected key=value, received 'epochs'"):
        check("auto", settings=["epochs"])


def test_a_warm_up_that_is_asked_for_ends_with_training(recipe: Recipe) -> None:
    with pytest.raises(RecordError, match=r"warm-up within epochs=3, received warmup_epochs=9\.5"):
        apply(recipe, ["warmup_epochs=9.5", "epochs=3"])
    short = apply(recipe, ["epochs=1"])  # the recipe's own keeps its share
    assert short.warmup_epochs == pytest.approx(recipe.warmup_epochs / recipe.epochs)
    nearly = apply(recipe, [f"epochs={recipe.epochs - 1}"])
    assert nearly.warmup_epochs == recipe.warmup_epochs
