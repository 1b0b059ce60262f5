"""Frozen records, and the one way between them and JSON.

Everything that striate writes down (a network, a recipe, a contract, a result) is a `Record`: an
immutable msgspec struct. A *family* is a record class whose subclasses are told apart by a tag
(`"kind"`), so that a new kind is one new class and nothing else: no list to extend. msgspec wants a
closed union for that, which is why decoding is written out here; it also lets an error name the
path (`layers[3].kernel`) and the nearest field.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import msgspec

from striate.errors import RecordError, UnknownName, did_you_mean

R = TypeVar("R", bound="Record")


def kind_of(class_name: str) -> str:
    """Spell a class name as the tag used in JSON: `PadAndCrop` -> `pad_and_crop`, `SGD` -> `sgd`.

    Example:
        >>> kind_of("PadAndCrop"), kind_of("SGD"), kind_of("AdamW"), kind_of("BatchNorm2d")
        ('pad_and_crop', 'sgd', 'adam_w', 'batch_norm2d')
    """
    out = []
    neighbours = zip(" " + class_name[:-1], class_name, class_name[1:] + " ", strict=True)
    for before, char, after in neighbours:
        starts_word = char.isupper() and (before.islower() or before.isdigit() or after.islower())
        out.append("_" if starts_word and before != " " else "")
        out.append(char.lower())
    return "".join(out)


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An immutable value with named fields, equal by content and written as a JSON object."""

    def replace(self: R, **changes: Any) -> R:
        """Return a copy with some fields changed; validation runs again."""
        return msgspec.structs.replace(self, **changes)


def expect(condition: bool, what: str, **received: Any) -> None:
    """Refuse a record's value, in its `__post_init__`.

    Args:
        condition: what has to hold.
        what: the same in words: "a rate above 0".
        received: the field and its value.

    Raises:
        ValueError: it does not hold; a decoded record's error adds where the value stands.

    Example:
        >>> expect(-1 > 0, "a rate above 0", rate=-1)
        Traceback (most recent call last):
        ValueError: expected a rate above 0, received rate=-1
    """
    if not condition:
        values = ", ".join(f"{name}={value!r}" for name, value in received.items())
        raise ValueError(f"expected {what}, received {values}")


class Family(Record, frozen=True, kw_only=True, tag_field="kind", tag=kind_of):
    """Base of open families: subclasses are told apart in JSON by `"kind"`.

    A direct subclass of `Family` names the family (`class Schedule(Family)`, with
    `family = "schedule"` for error messages); the classes below it that have no subclass of their
    own are the kinds. `CosineDecay` has the kind `cosine_decay`.
    """

    family: ClassVar[str] = "kind"


def kinds(family: type[Family]) -> dict[str, type[Family]]:
    """Return the concrete kinds of a family by tag, in order of definition.

    Raises:
        TypeError: two classes of the family have the same tag.
    """
    found: dict[str, type[Family]] = {}
    for subclass in family.__subclasses__():
        below = kinds(subclass) or {str(subclass.__struct_config__.tag): subclass}
        if twice := found.keys() & below.keys():
            raise TypeError(f"The {family.family} kind {min(twice)!r} is defined twice.")
        found.update(below)
    return found


def nearest(name: str, candidates: Iterable[str], count: int = 3) -> tuple[str, ...]:
    """Return up to `count` candidates that a writer of `name` may have meant, best first.

    One that begins as the name does (or the other way round) comes before one that holds it, and
    that before one that is only spelled alike.

    Example:
        >>> nearest("tiny", ["small_images", "tiny_images"]), nearest("resnet5", ["resnet50"])
        (('tiny_images',), ('resnet50',))
    """
    scores = {candidate: _likeness(name.lower(), candidate.lower()) for candidate in candidates}
    least = max(0.6, max(scores.values(), default=0.0) - 0.15)
    close = sorted(scores, key=lambda candidate: -scores[candidate])
    return tuple(each for each in close[:count] if scores[each] >= least)


def _likeness(a: str, b: str) -> float:
    """Return how alike two names are, 0 to 1: the share of letters in common, or better."""
    short, long = sorted((a, b), key=len)
    alike = difflib.SequenceMatcher(None, a, b).ratio()
    if len(short) > 1 and long.startswith(short):
        return 0.8 + 0.2 * alike
    return max(alike, 0.6 + 0.2 * alike) if len(short) > 2 and short in long else alike


# -- to JSON ---------------------------------------------------------------------------------------


def to_builtins(value: Any) -> Any:
    """Return a record (or a tuple or mapping of records) as plain dicts, lists and scalars.

    It equals what a JSON reader returns for `to_json` of the same value.
    """
    return _with_lists(msgspec.to_builtins(value, enc_hook=_encode_other))


def to_json(value: Any, *, indent: int = 0) -> bytes:
    """Return canonical JSON: UTF-8, keys sorted, tuples as arrays.

    Raises:
        RecordError: NaN or infinity, or text that UTF-8 cannot hold (a file name of stray bytes).
    """
    try:
        return json.dumps(
            to_builtins(value),
            sort_keys=True,
            ensure_ascii=False,
            allow_nan=False,
            indent=indent or None,
            separators=(",", ": ") if indent else (",", ":"),
        ).encode()
    except UnicodeEncodeError as error:
        around = str(error.object)[max(error.start - 30, 0) : error.end + 30]
        raise RecordError(f"Expected text that UTF-8 can hold, received {around!r}.") from error
    except ValueError as error:
        raise RecordError(f"Expected finite numbers, received {_shorten(value)}.") from error


def digest(value: Any) -> str:
    """Return the sha256 of the canonical JSON, as 64 hexadecimal digits."""
    return hashlib.sha256(to_json(value)).hexdigest()


def _with_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_lists(item) for key, item in value.items()}
    return [_with_lists(item) for item in value] if isinstance(value, list | tuple) else value


def _encode_other(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # a numpy scalar or array
        return value.tolist()
    raise RecordError(f"Expected a value that JSON can hold, received {type(value).__name__}.")


# -- from JSON -------------------------------------------------------------------------------------


def from_json(type_: type[R], data: bytes | str, source: str = "document") -> R:
    """Decode strict JSON into a record.

    Args:
        type_: the record class, or the base of a family.
        data: UTF-8 JSON.
        source: what to call the document in an error, usually its path.

    Raises:
        RecordError: not JSON, an unknown or missing field, or a value of the wrong type; the
            message gives the path inside the document and the nearest field name.
    """
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError(f"{source}: expected JSON, received something else: {error}.") from error
    return typing.cast(R, decode(type_, value, source))


def decode(hint: Any, value: Any, where: str = "document") -> Any:
    """Turn plain dicts, lists and scalars into the type that `hint` describes.

    Args:
        hint: a record class, a union, `tuple[...]`, `dict[...]` or a scalar type.
        value: what a JSON reader returns.
        where: the path inside the document, for errors.

    Raises:
        RecordError: the value does not fit.
        UnknownName: a kind that the family does not have.
    """
    if isinstance(hint, type) and issubclass(hint, Record):
        return value if isinstance(value, hint) else _decode_record(hint, value, where)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _decode_union(arguments, value, where)
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_decode_items(arguments, value, where))
    if origin in (dict, Mapping) and isinstance(value, Mapping):
        return {key: decode(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    try:
        return msgspec.convert(value, hint, strict=True)
    except msgspec.ValidationError as error:
        raise RecordError(
            f"{where}: expected {_spell(hint)}, received {_shorten(value)}."
        ) from error


@cache
def field_hints(type_: type[Record]) -> dict[str, Any]:
    """Return each field's resolved type by name, without class variables."""
    hints = typing.get_type_hints(type_)
    return {name: hints[name] for name in type_.__struct_fields__}


@cache
def required(type_: type[Record]) -> frozenset[str]:
    """Return the names of the fields that have no default."""
    return frozenset(field.name for field in msgspec.structs.fields(type_) if field.required)


def _decode_record(type_: type[Record], value: Any, where: str) -> Record:
    if isinstance(value, str) and issubclass(type_, Family):
        value = {"kind": value}  # a kind by its bare name, every field at its default
    if not isinstance(value, Mapping):
        raise RecordError(f"{where}: expected {_spell(type_)}, received {_shorten(value)}.")
    fields = dict(value)
    concrete = _concrete(type_, fields, where)
    hints = field_hints(concrete)
    for name in fields:
        if name not in hints:
            hint = did_you_mean(nearest(name, hints)) or f" Known: {', '.join(hints)}."
            raise RecordError(f"{where}: {_spell(concrete)} has no field {name!r}.{hint}")
    missing = required(concrete) - fields.keys()
    if missing:
        raise RecordError(f"{where}: {_spell(concrete)} lacks {', '.join(sorted(missing))}.")
    decoded = {name: decode(hints[name], item, f"{where}.{name}") for name, item in fields.items()}
    try:
        return concrete(**decoded)
    except (ValueError, TypeError) as error:  # raised by __post_init__
        raise RecordError(f"{where}: {str(error).rstrip('.')}.") from error


def _concrete(type_: type[Record], fields: dict[str, Any], where: str) -> type[Record]:
    """Pick the kind a tagged object names, and take the tag out of `fields`."""
    if not issubclass(type_, Family):
        return type_
    below = kinds(type_)
    tag = fields.pop("kind", None)
    if not below:
        if tag not in (None, type_.__struct_config__.tag):
            raise RecordError(
                f"{where}: expected kind={type_.__struct_config__.tag!r}, received kind={tag!r}."
            )
        return type_
    if not isinstance(tag, str):
        raise RecordError(
            f"{where}: expected {_a(type_.family)} with kind one of {', '.join(below)}; "
            f"received kind={tag!r}."
        )
    if tag not in below:
        raise UnknownName(type_.family, tag, nearest(tag, below), f"Known: {', '.join(below)}.")
    return below[tag]


def _decode_union(arms: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in arms:
        return None
    failures = []
    for arm in arms:
        if arm is type(None):
            continue
        try:
            return decode(arm, value, where)
        except RecordError as error:
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    expected = " or ".join(_spell(arm) for arm in arms)
    raise RecordError(f"{where}: expected {expected}, received {_shorten(value)}.")


def _decode_items(arguments: tuple[Any, ...], value: Any, where: str) -> Iterator[Any]:
    hints = (arguments[0],) * len(value) if arguments[-1:] == (Ellipsis,) else arguments
    if len(hints) != len(value):
        raise RecordError(f"{where}: expected {len(hints)} items, received {len(value)}.")
    for index, (hint, item) in enumerate(zip(hints, value, strict=True)):
        yield decode(hint, item, f"{where}[{index}]")


def _spell(hint: Any) -> str:
    if isinstance(hint, type) and issubclass(hint, Family) and kinds(hint):
        return f"{_a(hint.family)} ({', '.join(kinds(hint))})"
    if typing.get_origin(hint) is typing.Literal:
        return "one of " + ", ".join(repr(choice) for choice in typing.get_args(hint))
    names = {int: "an integer", float: "a number", str: "a string", bool: "true or false"}
    if hint in names:
        return names[hint]
    if hint is type(None):
        return "null"
    if typing.get_origin(hint) is tuple:
        arguments = typing.get_args(hint)
        many = "" if arguments[-1] is Ellipsis else f" of {len(arguments)}"
        return f"a list{many} in JSON, for example {_example(hint)}"
    return hint.__name__ if isinstance(hint, type) else str(hint)


def _example(hint: Any) -> str:
    """Return a value of a type, as JSON."""
    if typing.get_origin(hint) is tuple:
        items = [_example(each) for each in typing.get_args(hint) if each is not Ellipsis]
        return f"[{', '.join(items)}]"
    if isinstance(hint, type) and issubclass(hint, Family):
        return f'{{"kind": "{next(iter(kinds(hint)), hint.__struct_config__.tag)}"}}'
    if isinstance(hint, type) and issubclass(hint, Record):
        needed = sorted(required(hint))
        fields = (f'"{name}": {_example(field_hints(hint)[name])}' for name in needed)
        return f"{{{', '.join(fields)}}}"
    return {int: "8", float: "0.5", str: '"text"', bool: "true"}.get(hint, "null")


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


# -- key=value -------------------------------------------------------------------------------------


def with_settings(record: R, settings: Iterable[str]) -> R:
    """Return a copy changed by `key=value` strings, as `--set` on the command line takes them.

    A key is a path of field names and tuple positions (`optimiser.rate`, `augmentation.0.pad`); a
    value is JSON, or a bare word taken as a string. A kind can be given by its name
    (`schedule=cosine`), with every field at its default.

    Raises:
        RecordError: no `=`, a value of the wrong type.
        UnknownName: no such field; carries the nearest ones.
    """
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise RecordError(f"Expected key=value, received {setting!r}.")
        try:
            value = msgspec.json.decode(text)
        except msgspec.DecodeError:
            value = text
        document = msgspec.json.decode(to_json(record))
        _assign(record, document, key.strip().split("."), value, key.strip())
        record = decode(type(record), document, "recipe")
    return record


def _assign(record: Any, document: Any, path: list[str], value: Any, key: str) -> None:
    head, rest = path[0], path[1:]
    slot: Any
    if isinstance(document, list):
        if not head.isdigit() or int(head) >= len(document):
            raise RecordError(
                f"{key}: expected a position below {len(document)}, received {head!r}."
            )
        slot, child = int(head), record[int(head)]
    else:
        names = record.__struct_fields__ if isinstance(record, Record) else tuple(document)
        if head not in names:
            raise UnknownName("setting", key, nearest(head, names), f"Known: {', '.join(names)}.")
        slot = head
        child = getattr(record, head) if isinstance(record, Record) else document[head]
    if not rest:
        document[slot] = value
    elif child is None or not isinstance(child, Record | tuple | dict):
        raise RecordError(f"{key}: {head} is {child!r}; it has no field {rest[0]!r}.")
    else:
        _assign(child, document[slot], rest, value, key)
