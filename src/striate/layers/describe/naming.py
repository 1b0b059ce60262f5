"""Names on paper for what was traced: the module's own paths, wherever our rules allow them.

A layer with parameters is called as the module that owns them, so that names of parameters are the
same; one without as the module it stands for, or by its kind in the module it happened in. Rules
that paths may break: a scope's layers stand together, no name is another's scope, no part is an
attribute of nn.Module. A scope that does is dissolved, `convs.0` into `convs_0`.
"""

from __future__ import annotations

import keyword
import re
from collections import Counter
from collections.abc import Sequence

from striate.design import Elementwise, Layer, Opaque
from striate.design.names import MODULE_ATTRIBUTES
from striate.layers.describe.steps import Frame, Step


def names_of(steps: Sequence[Step], taken: Sequence[str]) -> dict[str, str]:
    """Return the name on paper of each step, by its name for the time being.

    Args:
        steps: in order of execution.
        taken: names of the inputs.
    """
    plain = (step for step in steps if step.owned and not isinstance(step.layer, Opaque))
    alone, owners = _alone(steps), {_owner(step) for step in plain}
    firm = [bool(step.owned) and step.layer.shares is None for step in steps]
    names = settled([_wish(step, alone, owners) for step in steps], firm, taken)
    return {step.layer.name: name for step, name in zip(steps, names, strict=True)}


def settled(wishes: Sequence[str], firm: Sequence[bool], taken: Sequence[str]) -> list[str]:
    """Return names that a network may have, as near to what is wished for as the rules allow.

    Args:
        wishes: a dotted path for each layer, in order of execution.
        firm: whether it has parameters: those choose first.
        taken: names of the inputs.

    Example:
        >>> settled(["a.conv", "relu", "a.type"], [True, False, False], ["x"])
        ['a_conv', 'relu', 'a_type_']
    """
    return _dissolved(_distinct([_usable(each) for each in wishes], firm, taken), taken)


def _alone(steps: Sequence[Step]) -> set[int]:
    """Return the calls of modules without parts in which one thing only happened."""
    counts = Counter(step.frames[-1].number for step in steps if step.frames)
    return {
        step.frames[-1].number
        for step in steps
        if step.frames and step.frames[-1].leaf and counts[step.frames[-1].number] == 1
    }


def _wish(step: Step, alone: set[int], owners: set[str]) -> str:
    frames = [frame for frame in step.frames if frame.path]
    if step.owned and step.layer.shares is None and not isinstance(step.layer, Opaque):
        return _owner(step)
    if not frames:
        return _word(step.layer)
    path = _visited(frames)
    if frames[-1].leaf and frames[-1].path in owners and not step.owned:  # beside a layer
        scope, dot, last = path.rpartition(".")
        return f"{scope}{dot}{'' if last.isdecimal() else last + '_'}{_word(step.layer)}"
    if frames[-1].number in alone or (isinstance(step.layer, Opaque) and frames[-1].leaf):
        return path
    return f"{path}.{_word(step.layer)}"


def _owner(step: Step) -> str:
    """Return the path of the module whose parameters a layer has."""
    paths = {name.rpartition(".")[0] for name in step.owned.values()}
    plain = all(name.rpartition(".")[2] == local for local, name in step.owned.items())
    if len(paths) == 1 and plain and paths != {""}:
        return paths.pop()
    first = next(iter(step.owned.values()))
    return first.removesuffix(".weight") if first != "weight" else _word(step.layer)


def _visited(frames: Sequence[Frame]) -> str:
    """Return the path of the innermost module, with a number where one was called before."""
    visits = {frame.path: frame.visit for frame in frames}
    parts, path = [], ""
    for part in frames[-1].path.split("."):
        path = f"{path}.{part}" if path else part
        visit = visits.get(path, 1)
        parts.append(part if visit == 1 else _numbered(part, visit))
    return ".".join(parts)


def _numbered(part: str, number: int) -> str:
    return f"{part}{'_' if part[-1:].isdigit() else ''}{number}"


def _word(layer: Layer) -> str:
    """Return a short name for what a layer does."""
    if isinstance(layer, Elementwise):
        return layer.function
    word = layer.op if isinstance(layer, Opaque) else str(type(layer).__struct_config__.tag)
    word = re.sub(r"\W", "_", word)
    return {"adaptive_avg_pool": "avg_pool", "adaptive_max_pool": "max_pool"}.get(word, word)


def _usable(name: str) -> str:
    """Return a name of which every part can name a module."""
    return ".".join(map(_usable_part, name.split(".")))


def _usable_part(part: str) -> str:
    part = re.sub(r"[^A-Za-z0-9_]", "_", part).lstrip("_") or "layer"
    if not (part.isdecimal() or part.isidentifier()):
        part = f"n{part}"
    if keyword.iskeyword(part) or part in MODULE_ATTRIBUTES:
        return f"{part}_"
    return part


def _distinct(wishes: Sequence[str], firm: Sequence[bool], taken: Sequence[str]) -> list[str]:
    """Number names that are wished for twice; those with parameters choose first."""
    given: dict[int, str] = {}
    used = set(taken)
    for wanted in (True, False):
        for index, wish in enumerate(wishes):
            if firm[index] is not wanted:
                continue
            name, number = wish, 1
            scope, dot, last = wish.rpartition(".")
            while name in used:
                number += 1
                base = f"n{last}" if last.isdecimal() else last
                name = f"{scope}{dot}{_numbered(base, number)}"
            used.add(name)
            given[index] = name
    return [given[index] for index in range(len(wishes))]


def _dissolved(names: list[str], taken: Sequence[str]) -> list[str]:
    """Join the parts of scopes that cannot be modules, outermost first, until none is left."""
    while (scope := _broken(names)) is not None:
        joined = [
            _usable(f"{scope}_{name[len(scope) + 1 :]}") if name.startswith(f"{scope}.") else name
            for name in names
        ]
        names = _distinct(joined, [not name.startswith(f"{scope}_") for name in joined], taken)
    return names


def _broken(names: Sequence[str]) -> str | None:
    """Return a scope that is a layer as well, or whose layers are not together."""
    layers, closed, before = set(names), set[str](), set[str]()
    broken = []
    for name in names:
        parts = name.split(".")
        scopes = {".".join(parts[:end]) for end in range(1, len(parts))}
        broken += [scope for scope in scopes if scope in layers or scope in closed]
        closed |= before - scopes
        before = scopes
    return min(broken, key=lambda scope: (scope.count("."), scope), default=None)
