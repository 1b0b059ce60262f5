"""striate: the whole life of a convolutional network.

The rooms (`striate.data`, `striate.train`, ...) and the nouns that travel between them are loaded
at first use, so that `import striate` costs nothing and never imports torch on its own.

Example:
    >>> import striate
    >>> striate.zoo.network("lenet", classes=10).parameter_count()
    61706
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import striate.attack as attack
    import striate.data as data
    import striate.design as design
    import striate.doctor as doctor
    import striate.draw as draw
    import striate.engine as engine
    import striate.explain as explain
    import striate.inference as inference
    import striate.layers as layers
    import striate.recipes as recipes
    import striate.runs as runs
    import striate.train as train
    import striate.zoo as zoo
    from striate.contract import Contract
    from striate.data import Dataset
    from striate.design import Network
    from striate.errors import StriateError
    from striate.inference import accelerate as accelerate
    from striate.layers.describe import describe as describe
    from striate.runs import Run
    from striate.train import Recipe

__version__ = "0.1.0"

__all__ = [
    "Contract",
    "Dataset",
    "Network",
    "Recipe",
    "Run",
    "StriateError",
    "accelerate",
    "attack",
    "data",
    "describe",
    "design",
    "doctor",
    "draw",
    "engine",
    "explain",
    "inference",
    "layers",
    "recipes",
    "runs",
    "train",
    "zoo",
]

_HOME = {
    "accelerate": "inference",
    "Contract": "contract",
    "Dataset": "data",
    "describe": "layers",
    "Network": "design",
    "Recipe": "train",
    "Run": "runs",
    "StriateError": "errors",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'striate' has no attribute {name!r}")
    module = import_module(f"striate.{_HOME.get(name, name)}")
    return getattr(module, name) if name in _HOME else module


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
