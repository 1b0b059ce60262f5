"""What a room exports is what it says it exports, and all of it is explained."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import types
from pathlib import Path

import pytest

import striate

ROOMS = sorted(module.name for module in pkgutil.iter_modules(striate.__path__) if module.ispkg)


def test_the_package_loads_every_name_it_promises() -> None:
    assert sorted(striate.__all__) == striate.__all__
    for name in striate.__all__:
        assert getattr(striate, name) is not None
    assert set(dir(striate)) == {*striate.__all__, "__version__"}


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(striate.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.Import | ast.ImportFrom)]
    seen = [alias.asname or alias.name for node in imports for alias in node.names]
    assert sorted(seen) == striate.__all__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'striate' has no attribute 'trian'"):
        striate.trian  # noqa: B018


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_exports_what_it_lists(room: str) -> None:
    module = importlib.import_module(f"striate.{room}")
    listed = getattr(module, "__all__", [])
    given = {name: getattr(module, name) for name in listed}  # a room may load them at first use
    bound = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and not isinstance(value, types.ModuleType)
        and name not in ("annotations", "TYPE_CHECKING", "Any")
    }
    assert len(listed) == len(set(listed))
    assert bound == {
        name for name, value in given.items() if not isinstance(value, types.ModuleType)
    }
    assert module.__doc__


@pytest.mark.parametrize("room", ROOMS)
def test_what_a_room_exports_is_explained(room: str) -> None:
    module = importlib.import_module(f"striate.{room}")
    for name in getattr(module, "__all__", []):
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value), f"striate.{room}.{name} has no docstring"
