"""From a recipe to images and a contract that fit its network, the same in every process."""

from __future__ import annotations

from typing import NamedTuple

from striate import data
from striate.contract import Contract
from striate.data import Dataset, Split
from striate.data.whitening import Whitening, measure_whitening
from striate.design import centred
from striate.errors import ContractError, DataError, RunError
from striate.records import to_builtins
from striate.runs import Run
from striate.train.recipe import Recipe


class Prepared(NamedTuple):
    """What a training is fed with.

    Args:
        dataset: open.
        split: training, validation and test samples.
        contract: what their images go through, and what the outputs mean.
        whitening: what the network's first layers take off them, where the recipe has that.
    """

    dataset: Dataset
    split: Split
    contract: Contract
    whitening: Whitening | None = None


def prepare(recipe: Recipe, dataset: Dataset | None = None, *, chooses: bool = True) -> Prepared:
    """Open and split the data, measure it, and write the contract.

    Args:
        recipe: says which data and what its images go through.
        dataset: the recipe's data, where it is open already.
        chooses: whether weights are chosen by the validation part, so that there has to be one.

    Raises:
        DataError: the data cannot be used, or the recipe leaves no image to choose weights by.
        ContractError: classes or image shape are not those of the recipe's network.
    """
    dataset, split = _open(recipe, dataset)
    if chooses and not len(split.validation):
        raise DataError(
            f"{dataset.spec} has no image in its validation part, by which the weights are chosen: "
            f"expected a share above 0, received data.validation={recipe.data.validation:g}."
        )
    channels = recipe.preprocessing.channel_count
    plain = recipe.preprocessing.contract(dataset.classes, (0.0,) * channels, (1.0,) * channels)
    check_fit(recipe, plain)
    mean, std = data.measure(split.train, plain)
    answer = recipe.network.answer
    contract = recipe.preprocessing.contract(dataset.classes, mean, std, answer)
    mean_image, matrix = centred.tensors(recipe.network)
    contract = contract.replace(mean_image=mean_image, whitening=matrix)
    return Prepared(dataset, split, contract, _whitening(recipe, split, contract))


def lit(recipe: Recipe, prepared: Prepared) -> Recipe:
    """Return the recipe with the colours of `Lighting` measured on the training part."""
    if not any(
        isinstance(each, data.Lighting) and not each.components for each in recipe.augmentation
    ):
        return recipe
    found = data.principal_colours(prepared.split.train, prepared.contract)
    return recipe.replace(
        augmentation=tuple(
            each.replace(components=found)
            if isinstance(each, data.Lighting) and not each.components
            else each
            for each in recipe.augmentation
        )
    )


def prepare_again(recipe: Recipe, run: Run, dataset: Dataset | None = None) -> Prepared:
    """Open the data of a run again; the contract is the run's own.

    Raises:
        RunError: the data is no longer what the run was trained on.
    """
    dataset, split = _open(recipe, dataset)
    if to_builtins(split.document()) != run.data_document():
        raise RunError(
            f"The data at {recipe.data.path} is not what {run.path} was trained on: its sample "
            "ids or contents differ from data.json."
        )
    contract = run.contract()
    return Prepared(dataset, split, contract, _whitening(recipe, split, contract))


def _whitening(recipe: Recipe, split: Split, contract: Contract) -> Whitening | None:
    """Measure on the training part what the recipe wants taken off its images."""
    asked = recipe.preprocessing
    return measure_whitening(split.train, contract, asked.whitening, asked.epsilon)


def _open(recipe: Recipe, dataset: Dataset | None) -> tuple[Dataset, Split]:
    choice = recipe.data
    if dataset is None:
        dataset = data.open(choice.path, strict=choice.strict)
    split = data.split(
        dataset,
        seed=choice.split_seed,
        validation=choice.validation,
        validation_most=choice.validation_most,
        test=choice.test,
    )
    return dataset, split


def check_fit(recipe: Recipe, contract: Contract) -> None:
    """Refuse a recipe whose network and images do not go together.

    Raises:
        ContractError: says which of them to change.
    """
    network, asked = recipe.network, recipe.preprocessing.whitening
    if asked != "none" and (recipe.start is not None or centred.centred(network, asked) != network):
        raise ContractError(
            f"Expected {network.name} to begin with the layers of whitening={asked} "
            "(`recipes.make` adds them, `design.centred` by hand) and no weights to start from, "
            "which were trained otherwise: say --set preprocessing.whitening=none"
        )
    if asked != "none" and recipe.sizes:
        raise ContractError(
            f"Expected images of one size for whitening={asked}, received sizes: say --set sizes=[]"
        )
    if network.answer != recipe.objective.answer:
        objective = str(type(recipe.objective).__struct_config__.tag)
        fitting = "distance_loss" if network.answer == "distances" else "cross_entropy"
        raise ContractError(
            f"{network.name} answers with {network.answer}, but the objective is "
            f"{objective}, which takes {recipe.objective.answer}: say --set objective={fitting}"
        )
    if network.classes != len(contract.classes):
        raise ContractError(
            f"{network.name} has {network.classes} outputs, but the data has "
            f"{len(contract.classes)} classes: network.with_classes({len(contract.classes)}) gives "
            "it as many."
        )
    recipe.objective.check(len(contract.classes))
    recipe.sampling.check(len(contract.classes))
    if tuple(network.input_shape) != contract.shape:
        raise ContractError(
            f"{network.name} takes images of shape {tuple(network.input_shape)}, but the "
            f"preprocessing makes {contract.shape} (channels, height, width); --size sets both."
        )
    for each in recipe.sizes:
        smaller = network.with_input((contract.channel_count, *each.size))
        if smaller.parameters() != network.parameters():
            raise ContractError(
                f"{network.name} cannot be trained on images of {each.size} and used on "
                f"{contract.size}: its fully connected layers fit one size. Leave out sizes, or "
                "take a network that ends in global pooling."
            )
