"""A recipe's values are refused where they cannot train: in one sentence, before the data."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from striate import train
from striate.data import open as open_data
from striate.errors import DataError, RecordError
from striate.records import with_settings

MakeRecipe = Callable[..., train.Recipe]


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("optimiser.rate=-1", "recipe.optimiser: expected a rate above 0, received rate=-1.0."),
        ("optimiser.decay=-1", "a decay of at least 0, received decay=-1.0."),
        ("optimiser.momentum=1", "expected 0 <= momentum < 1, received momentum=1.0."),
        ('optimiser={"kind":"adam","betas":[2,3]}', "below 1, received betas=(2.0, 3.0)."),
        ('optimiser={"kind":"adamw","betas":[0.9,1]}', "below 1, received betas=(0.9, 1.0)."),
        ('optimiser={"kind":"adam","epsilon":0}', "an epsilon above 0, received epsilon=0.0."),
        ("epochs=0", "recipe: expected epochs of at least 1, received epochs=0."),
        ("batch=0", "expected batch of at least 1, received batch=0."),
        ("accumulate=0", "expected accumulate of at least 1, received accumulate=0."),
        ("accumulate=7", "a batch that accumulate=7 divides, received batch="),
        ("warmup_epochs=-1", "expected warmup_epochs of at least 0, received warmup_epochs=-1.0."),
        ("checkpoint_minutes=0", "checkpoint_minutes above 0, received checkpoint_minutes=0.0."),
        ("checkpoint_steps=0", "checkpoint_steps of at least 1, received checkpoint_steps=0."),
        ("clip=0", "expected a clip above 0, received clip=0.0."),
        ('ema={"decay":1}', "recipe.ema: expected 0 <= decay < 1, received decay=1.0."),
        ("objective.label_smoothing=1", "0 <= label_smoothing < 1, received label_smoothing=1.0."),
        ('objective={"kind":"mixup","alpha":0}', "expected an alpha above 0, received alpha=0.0."),
        ('objective={"kind":"cutmix","alpha":-1}', "an alpha above 0, received alpha=-1.0."),
        ('schedule={"kind":"step","drop":0}', "expected a drop above 0, received drop=0.0."),
        ('schedule={"kind":"exponential","gamma":0}', "a gamma above 0, received gamma=0.0."),
        ('schedule={"kind":"inverse_time","k":-1}', "expected k of at least 0, received k=-1.0."),
        ('schedule={"kind":"cosine","final":-1}', "factor of at least 0, received final=-1.0."),
        ('schedule={"kind":"linear","final":-1}', "factor of at least 0, received final=-1.0."),
        ('schedule={"kind":"plateau","drop":1}', "expected 0 < drop < 1, received drop=1.0."),
        ('schedule={"kind":"plateau","patience":-1}', "0 epochs, received patience=-1."),
        ('schedule={"kind":"plateau","threshold":-1}', "received threshold=-1.0."),
        ('schedule={"kind":"plateau","least":2}', "0 <= least <= 1, received least=2.0."),
        ('early_stop={"patience":0}', "patience of at least 1 epoch, received patience=0."),
        (
            "data.validation=1",
            "expected 0 <= validation < 1, received validation=1.0.",
        ),
        ("data.test=-1", "expected 0 <= test < 1, received test=-1.0."),
        ("data.validation_most=0", "at least 1, received validation_most=0."),
        ("preprocessing.size=[0,8]", "size of at least 1x1 pixels, received size=(0, 8)."),
        ('sizes=[{"size":[4,0]}]', "recipe.sizes[0]: expected a size of at least 1x1 pixels"),
        ('sizes=[{"size":[4,4],"until":2}]', "expected 0 < until <= 1, received until=2.0."),
    ],
)
def test_a_value_that_cannot_train_is_one_sentence(
    make_recipe: MakeRecipe, setting: str, sentence: str
) -> None:
    with pytest.raises(RecordError) as seen:
        with_settings(make_recipe(), [setting])
    assert sentence in str(seen.value) and str(seen.value).startswith("recipe")
    assert "\n" not in str(seen.value)


def test_a_training_shortened_below_its_warm_up_stays_a_recipe(make_recipe: MakeRecipe) -> None:
    assert make_recipe(epochs=2, warmup_epochs=6.0).epochs == 2


def test_nothing_to_choose_weights_by_is_said_before_training(make_recipe: MakeRecipe) -> None:
    recipe = with_settings(make_recipe(), ["data.validation=0"])
    with pytest.raises(DataError, match=r"expected a share above 0, received data\.validation=0\."):
        train.train(recipe, dataset=open_data("digits"))
