"""What may stand at the cursor of a command line that is being written.

All of it is read off the commands' own functions: options and their help from the annotations,
names by the metavar. Nothing here waits for torch.
"""

from __future__ import annotations

import enum
import inspect
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from typer.models import ArgumentInfo, OptionInfo

from striate.cli.main import ALIASES, COMMANDS, function

_FILES = {"DATA", "FILE", "IMAGE", "NET", "OUT", "PLAN", "RUN", "RUNS", "WEIGHTS"}


class Offer(NamedTuple):
    """What may stand at the cursor.

    Args:
        words: each with what it means, or nothing.
        files: whether a file or a folder may stand there as well.
    """

    words: dict[str, str]
    files: bool = False


def offer(words: Sequence[str]) -> Offer:
    """Return what may stand in place of the last of the words after `striate`."""
    *before, current = _whole(words)
    if not before:
        return _beginning(current)
    command = before[0]
    if command not in (*COMMANDS, *ALIASES):
        return Offer({})
    options, places = _parameters(command)
    asked, said, place = None, set[str](), 0
    for word in before[1:]:
        if asked is not None:
            asked = None
        elif word.startswith("-"):
            said.add(word.partition("=")[0])
            asked = option if (option := options.get(word)) is not None and option.takes else None
        else:
            place += 1
    name, equals, value = current.partition("=")
    if asked is not None:
        return _matching(current, asked.values())
    if equals and name in options:
        found = _matching(value, options[name].values())
        return Offer({f"{name}={word}": meaning for word, meaning in found.words.items()})
    here = next(iter(places[place:]), next((each for each in places[-1:] if each.many), None))
    if current.startswith("-") or here is None:
        left = {key: one.help for key, one in options.items() if one.many or key not in said}
        return _matching(current, Offer(left))
    return _matching(current, here.values())


def _whole(words: Sequence[str]) -> list[str]:
    """Put `--net`, `=`, `lenet` together again, which bash breaks at the sign."""
    found: list[str] = []
    for before, word in zip(("", *words), words, strict=False):
        if found and "=" in (before, word):
            found[-1] += word
        else:
            found.append(word)
    return found


def _beginning(current: str) -> Offer:
    if current.startswith("-"):
        return _matching(current, Offer({"--help": "Show all commands.", "--version": ""}))
    return _matching(current, Offer({name: _summary(function(name)) for name in COMMANDS}))


def _summary(command: Any) -> str:
    return (inspect.getdoc(command) or "").partition("\n")[0]


def _matching(current: str, of: Offer) -> Offer:
    return Offer({w: meaning for w, meaning in of.words.items() if w.startswith(current)}, of.files)


class _Parameter(NamedTuple):
    """An option or a place of a command, as its function declares it."""

    hint: Any
    metavar: str
    help: str

    @property
    def takes(self) -> bool:
        """Whether a value follows."""
        return self.hint is not bool

    @property
    def many(self) -> bool:
        """Whether any number of words may stand here."""
        return any(get_origin(each) is list for each in (self.hint, *get_args(self.hint)))

    def values(self) -> Offer:
        """Return what may stand here."""
        types = {self.hint, *get_args(self.hint)}
        types |= {inner for each in types for inner in get_args(each)}
        for each in types:
            if isinstance(each, type) and issubclass(each, enum.Enum):
                return Offer({str(one.value): "" for one in each})
        nouns = set(re.findall("[A-Z]+", self.metavar))
        nouns |= {"WEIGHTS"} if "published weights" in self.help else set()
        found = {word: meaning for noun in sorted(nouns) for word, meaning in _names(noun).items()}
        return Offer(found, bool(nouns & _FILES) or Path in types)


def _parameters(command: str) -> tuple[dict[str, _Parameter], list[_Parameter]]:
    """Return a command's options by name, and its places in order."""
    options, places = dict[str, _Parameter](), list[_Parameter]()
    for hint in get_type_hints(function(command), include_extras=True).values():
        for said in getattr(hint, "__metadata__", ()):
            if said.hidden:
                continue
            one = _Parameter(get_args(hint)[0], said.metavar or "", said.help or "")
            if isinstance(said, ArgumentInfo):
                places.append(one)
            elif isinstance(said, OptionInfo):
                written = (said.default, *(said.param_decls or ()))  # the first where a default is
                names = [name for each in written for name in str(each).split("/")]
                options |= {name: one for name in names if name.startswith("--")}
    return {**options, "--help": _Parameter(bool, "", "Show what the command takes.")}, places


def _names(noun: str) -> dict[str, str]:
    """Return the names that are known of what a metavar says, each with what it means."""
    if noun == "NET":
        from striate import zoo

        return {name: zoo.entry(name).summary for name in zoo.names()}
    if noun == "DATA":
        return dict.fromkeys(_table("data", "named.json"), "a named set")
    if noun == "WEIGHTS":
        families = _table("weights", "published.json")["families"]
        return {each["name"]: "published weights" for one in families for each in one["files"]}
    return {}


def _table(room: str, file: str) -> dict[str, Any]:
    """Read a room's table without importing the room, which would wait for torch."""
    from importlib import resources

    found: dict[str, Any] = json.loads((resources.files("striate") / room / file).read_bytes())
    return found
