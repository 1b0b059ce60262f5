"""From data to a recipe: by name, or chosen by what the images are like."""

from __future__ import annotations

from collections.abc import Iterable

from striate.data import Dataset
from striate.ops import choose_device
from striate.recipes.facts import DataFacts, facts_of
from striate.recipes.registry import Wish, get
from striate.records import with_settings
from striate.train import Recipe

TINY, SMALL = 16, 40  # pixels of the short side, up to which images count as such


def make(
    name: str,
    data: Dataset | DataFacts,
    *,
    network: str = "auto",
    device: str = "auto",
    settings: Iterable[str] = (),
) -> Recipe:
    """Return a recipe for some data, with everything resolved.

    Args:
        name: a registered recipe, or `auto` to choose by the data.
        data: an open data set, or its facts.
        network: a registered network, or `auto` for the recipe's own.
        device: auto, cpu, cuda or cuda:N.
        settings: `key=value` changes, applied in order at the end.

    Raises:
        UnknownName: no such recipe, network, or key; carries the nearest names.
        UsageError: no such device.
        DesignError: the network cannot take images of this size.
    """
    facts = data if isinstance(data, DataFacts) else facts_of(data)
    function = get(choose(facts) if name == "auto" else name)
    wish = Wish(network, device, choose_device(device).type == "cuda")
    recipe = function(facts, wish).replace(device=device)
    if network != "auto":
        recipe = recipe.replace(reason=f"{recipe.reason}; but {network}, as asked")
    return with_settings(recipe, settings)


def choose(facts: DataFacts) -> str:
    """Return the name of the recipe that suits the data best."""
    if facts.short_side <= TINY:
        return "tiny_images"
    return "small_images" if facts.short_side <= SMALL else "photographs"
