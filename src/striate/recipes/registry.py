"""Recipes by name: complete runs, one function each.

A recipe function looks at a few facts of the data and returns a `Recipe` with everything resolved;
nothing in a run calls it again. Its docstring gives command, hardware, time and accuracy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from striate import zoo
from striate.design import Network
from striate.errors import UnknownName
from striate.recipes.facts import DataFacts
from striate.records import nearest
from striate.train import Recipe


class Wish(NamedTuple):
    """What the user asked for beside the data.

    Args:
        network: a registered network's name, or `auto` for the recipe's own.
        device: auto, cpu, cuda or cuda:N.
        gpu: whether that is a graphics card.
    """

    network: str = "auto"
    device: str = "auto"
    gpu: bool = False

    def build(self, own: str, classes: int, shape: tuple[int, int, int]) -> Network:
        """Return the network asked for, or the recipe's own, for so many classes and an input.

        Raises:
            UnknownName: no such network; carries the nearest names.
            DesignError: the network cannot take such an input; names the layer and what would fit.
        """
        name = own if self.network == "auto" else self.network
        return zoo.network(name, classes=classes, input=shape)


RecipeFunction = Callable[[DataFacts, Wish], Recipe]

_registered: dict[str, RecipeFunction] = {}


def register(function: RecipeFunction) -> RecipeFunction:
    """Register a recipe under its function's name; used as a decorator.

    Raises:
        ValueError: the name is taken.
    """
    name = function.__name__
    if name in _registered:
        raise ValueError(f"There is a recipe named {name} already.")
    _registered[name] = function
    return function


def names() -> tuple[str, ...]:
    """Return the names of all recipes."""
    return tuple(_registered)


def get(name: str) -> RecipeFunction:
    """Return the recipe function of that name.

    Raises:
        UnknownName: there is none; carries the nearest names.
    """
    if name not in _registered:
        known = ("auto", *_registered)
        raise UnknownName("recipe", name, nearest(name, known), f"Known: {', '.join(known)}.")
    return _registered[name]
