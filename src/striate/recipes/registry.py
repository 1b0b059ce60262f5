"""Recipes by name: complete runs, one function each.

A recipe function looks at a few facts of the data and returns a `Recipe` with everything resolved;
nothing in a run calls it again. Its docstring gives command, hardware, time and accuracy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from striate import zoo
from striate.design import Network
from striate.errors import DesignError, NotationError, UnknownName
from striate.recipes.facts import DataFacts
from striate.records import nearest
from striate.train import Recipe


class Wish(NamedTuple):
    """What the user asked for beside the data.

    Args:
        network: a Network, text that `zoo.read` reads, or `auto` for the recipe's own.
        size: (height, width) to scale images to, in pixels; None leaves it to the recipe.
        gpu: whether it is trained on a graphics card.
    """

    network: str | Network = "auto"
    size: tuple[int, int] | None = None
    gpu: bool = False

    def build(self, own: str, classes: int, channels: int, size: tuple[int, int]) -> Network:
        """Return the network asked for, or the recipe's own, for so many classes and an input.

        Raises:
            UnknownName: no such network; carries the nearest names.
            DesignError: it cannot take images of that size; names the layer, what it received, and
                the size to ask for.
        """
        name = own if self.network == "auto" else self.network
        try:
            return zoo.read(name, classes=classes, input=(channels, *size))
        except DesignError as error:
            if isinstance(error, NotationError):
                if error.least is None:
                    raise
                fix = _sizes(error.least[0])
                raise error.advised(fix) from error
            least = on_paper(name).minimum_input()[1]
            if min(size) >= least:
                raise
            fix = _sizes(least)
            raise DesignError(error.problem, error.layer, fixes=(fix,)) from error

    def least_side(self) -> int:
        """Return the side of the smallest square images that the network asked for takes."""
        return 1 if self.network == "auto" else on_paper(self.network).minimum_input()[1]

    def called(self, own: str) -> str:
        """Return what a reason calls the network: the recipe's own, or the one asked for."""
        if self.network == "auto":
            return own
        name = self.network.name if isinstance(self.network, Network) else self.network
        return f"{name if name.isprintable() and len(name) < 60 else 'the net'}, as asked"


def _sizes(least: int) -> str:
    return f"choose a size of at least {least}x{least} (--size {least})"


def on_paper(network: str | Network) -> Network:
    """Return a network at an input of its own; at 224x224 colours where it does not say any.

    Raises:
        UnknownName, DesignError: as `zoo.read` does.
    """
    try:
        return zoo.read(network)
    except DesignError as error:
        try:  # a prototxt leaves the shape to its data
            return zoo.read(network, input=(3, 224, 224))
        except DesignError:
            raise error from None


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
