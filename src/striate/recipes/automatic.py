"""From data to a recipe: by name, or chosen by what the images are like."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from striate import progress, runs, zoo
from striate.data import Dataset
from striate.design import Network
from striate.errors import UsageError
from striate.ops import choose_device
from striate.recipes.facts import DataFacts, facts_of
from striate.recipes.registry import Wish, get, on_paper
from striate.recipes.settings import apply
from striate.recipes.settings import check as check_settings
from striate.records import from_json
from striate.train import CrossEntropy, DistanceLoss, Recipe

TINY, SMALL = 16, 40  # pixels of the short side, up to which images count as such


def make(
    name: str,
    data: Dataset | DataFacts,
    *,
    network: str | Network = "auto",
    size: tuple[int, int] | None = None,
    device: str = "auto",
    settings: Iterable[str] = (),
) -> Recipe:
    """Return a recipe for some data, with everything resolved.

    Args:
        name: a registered recipe, `auto` to choose by the data, or a file with a recipe (a run's
            recipe.json, a search's best.json), which fixes network and size.
        data: an open data set, or its facts.
        network: a Network, such as `striate.describe` gives of a module, whatever text `zoo.read`
            reads, or `auto` for the recipe's own.
        size: (height, width) that images are scaled to, in pixels; the recipe's own unless given.
        device: auto, cpu, cuda or cuda:N.
        settings: `key=value` changes, applied in order at the end.

    Raises:
        UnknownName: no such recipe, network, or key; carries the nearest names.
        UsageError: no such device.
        DesignError: the network cannot take images of this size; says which it could.
        RecordError: a value does not fit its key, or the file holds no recipe.
        RunError: the recipe is of a loop that was watched only.
    """
    settings = list(settings)
    check(name, network=network, device=device, settings=settings)
    if (file := _file(name)) is not None:
        if network != "auto" or size is not None:
            raise UsageError(f"{file} fixes the network and its size; leave out --net and --size.")
        read = from_json(Recipe, file.read_bytes(), str(file))
        if read.data.path == runs.OWN_LOOP:
            raise runs.watched_only(file.parent)
        spec = data.path if isinstance(data, DataFacts) else data.spec
        read = read.replace(data=read.data.replace(path=spec))
        return apply(read if device == "auto" else read.replace(device=device), settings)
    facts = data if isinstance(data, DataFacts) else facts_of(data)
    function = get(choose(facts, network) if name == "auto" else name)
    gpu = choose_device(device).type == "cuda"
    recipe = function(facts, Wish(network=network, size=size, gpu=gpu)).replace(device=device)
    if said := zoo.other_classes(recipe.network):
        progress.say(f"Note: {said}")
    return apply(_fitted(recipe), settings)


def check(
    name: str,
    *,
    network: str | Network = "auto",
    device: str = "auto",
    settings: Iterable[str] = (),
) -> None:
    """Refuse what `make` would refuse whatever the data is, before anybody waits for the data.

    Raises:
        UnknownName, UsageError, RecordError: as `make` does.
    """
    if name != "auto" and _file(name) is None:
        get(name)
    if network != "auto":
        on_paper(network)
    choose_device(device)
    check_settings(settings)


def choose(facts: DataFacts, network: str | Network = "auto") -> str:
    """Return the name of the recipe that suits the data, and the network asked for, best."""
    if network != "auto" and on_paper(network).answer == "distances":
        return "lenet5_1998"
    if facts.short_side <= TINY:
        return "tiny_images"
    return "small_images" if facts.short_side <= SMALL else "photographs"


def _file(name: str) -> Path | None:
    """Return a recipe's file; None where a name is meant."""
    path = Path(name)
    if path.is_dir() and (path / "recipe.json").is_file():
        return path / "recipe.json"
    if path.suffix == ".json" or path.is_file():
        if not path.is_file():
            raise UsageError(f"There is no file {name}; expected the recipe.json of a run.")
        return path
    return None


def _fitted(recipe: Recipe) -> Recipe:
    """Return a recipe whose objective takes what its network answers with, and which says so."""
    answer = recipe.network.answer
    objective = recipe.objective
    if objective.answer == answer == "logits":
        return recipe
    if objective.answer != answer:
        objective = DistanceLoss() if answer == "distances" else CrossEntropy()
    words = "the distance loss" if answer == "distances" else "the cross-entropy"
    reason = f"{recipe.reason}; its outputs are {answer}, so it minimises {words}"
    return recipe.replace(objective=objective, reason=reason)
