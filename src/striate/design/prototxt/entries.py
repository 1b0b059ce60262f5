"""The layers of a prototxt, one spelling for all: types, phases, names.

`layer { type: "Convolution" }` and the older `layers { type: CONVOLUTION }` become the same entry.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Sequence
from typing import NamedTuple

from striate.design.names import MODULE_ATTRIBUTES
from striate.design.prototxt.message import Message, Scalar
from striate.errors import NotationError

MOST_LAYERS = 5_000
_MOST_PARTS = 6  # of a name between slashes; further slashes become underscores

# The types of the older syntax whose words do not simply join: CONVOLUTION -> Convolution does.
_OLDER = {
    "RELU": "ReLU",
    "TANH": "TanH",
    "LRN": "LRN",
    "MVN": "MVN",
    "BNLL": "BNLL",
    "PRELU": "PReLU",
    "ABSVAL": "AbsVal",
    "ARGMAX": "ArgMax",
    "SOFTMAX_LOSS": "SoftmaxWithLoss",
    "HDF5_DATA": "HDF5Data",
    "HDF5_OUTPUT": "HDF5Output",
}
_FIELDS = (
    "name", "type", "bottom", "top", "phase", "loss_weight", "param", "blobs", "blobs_lr",
    "weight_decay", "include", "exclude", "propagate_down", "share_mode", "blob_share_mode",
)  # fmt: skip
_RULE = ("phase", "min_level", "max_level", "stage", "not_stage")
_WORDS = {"Convolution": "conv", "Pooling": "pool", "InnerProduct": "fc", "LRN": "norm"}


class Entry(NamedTuple):
    """One layer as the file has it.

    Args:
        name, type: as written, the type in today's spelling.
        bottoms, tops: the blobs that it reads and writes.
        message: all of it.
    """

    name: str
    type: str
    bottoms: tuple[Scalar, ...]
    tops: tuple[Scalar, ...]
    message: Message

    def error(self, message: str, field: str = "type") -> NotationError:
        """Return the error that points at a field of this layer."""
        return self.message.error(
            self.message.place(field), f"layer {self.name!r} ({self.type}): {message}"
        )


def entries_of(net: Message, phase: str) -> tuple[list[Entry], list[str]]:
    """Return the layers of a phase in order, and the names of those of the other phase."""
    found, others = [], []
    fields = [field for field in net.fields if field.name in ("layer", "layers")]
    if len(fields) > MOST_LAYERS:
        raise net.error(fields[MOST_LAYERS].position, f"expected at most {MOST_LAYERS:,} layers.")
    for field in fields:
        if not isinstance(field.value, Message):
            raise net.error(field.position, f"expected {field.name} {{ ... }}.")
        entry = _entry(field.value, field.position)
        if _included(entry.message, phase):
            found.append(entry)
        else:
            others.append(entry.name)
    return found, others


def _entry(message: Message, position: int) -> Entry:
    if message.has("layer"):
        raise message.error(
            position,
            "this is Caffe's first format: upgrade it with upgrade_net_proto_text.",
        )
    known = (*_FIELDS, *(f.name for f in message.fields if f.name.endswith("_param")))
    message.check("a layer", known)
    kind = message.one("type")
    if kind is None:
        raise message.error(position, "expected the layer to have a type.")
    type_ = kind.text if kind.quoted else _today(kind.text)
    name = message.string("name") or f"{type_.lower()}"
    bottoms, tops = tuple(message.all("bottom")), tuple(message.all("top"))
    return Entry(name[:200], type_, bottoms, tops, message)


def _today(word: str) -> str:
    """Spell a type of the older syntax as today: INNER_PRODUCT is InnerProduct."""
    if not word.isupper():
        return word
    return _OLDER.get(word) or "".join(part.capitalize() for part in word.split("_"))


def _included(message: Message, phase: str) -> bool:
    if message.has("phase") and message.choice("phase", phase, ("TRAIN", "TEST")) != phase:
        return False
    rules = message.messages("include")
    if rules:
        return any(_meets(rule, phase) for rule in rules)
    return not any(_meets(rule, phase) for rule in message.messages("exclude"))


def _meets(rule: Message, phase: str) -> bool:
    """Tell whether a rule speaks of this phase; no stage is set and the level is 0."""
    rule.check("a rule", _RULE)
    if rule.has("phase") and rule.choice("phase", phase, ("TRAIN", "TEST")) != phase:
        return False
    return not rule.has("stage") and rule.integer("min_level", 0) == 0


# -- names -----------------------------------------------------------------------------------------


def module_names(entries: Sequence[Entry], taken: set[str]) -> list[str]:
    """Return a module path for each layer: `inception_3a/1x1` is `inception_3a.conv_1x1`.

    A slash becomes a dot where the layers of the scope stand together and the scope is no layer
    itself, and an underscore elsewhere; what no identifier may hold becomes an underscore.
    """
    paths = [_parts(entry.name, _WORDS.get(entry.type, entry.type.lower())) for entry in entries]
    closed: set[str] = set()
    while True:
        names = _unique([_joined(path, closed) for path in paths], taken)
        apart = _not_together(names) - closed
        if not apart:
            return names
        closed |= apart


def _parts(name: str, word: str) -> list[str]:
    parts = [identifier(part, word) for part in name.split("/", _MOST_PARTS) if part]
    return parts or [word]


def identifier(part: str, word: str) -> str:
    """Return a name as one part of a module path; `word` comes before a leading digit."""
    part = re.sub(r"\W", "_", part, flags=re.ASCII).lstrip("_")
    if not part or (part[0].isdigit() and not part.isdecimal()):
        part = f"{identifier(word, 'layer')}_{part}"
    return f"{part}_" if keyword.iskeyword(part) or part in MODULE_ATTRIBUTES else part


def _joined(parts: Sequence[str], closed: set[str]) -> str:
    name = parts[0]
    for part in parts[1:]:
        name += f"_{part}" if name in closed else f".{part}"
    return name


def _unique(names: Sequence[str], taken: set[str]) -> list[str]:
    seen, unique = set(taken), []
    counts: dict[str, int] = {}
    for name in names:
        free = name
        while free in seen:
            counts[name] = counts.get(name, 1) + 1
            free = f"{name}_{counts[name]}"
        seen.add(free)
        unique.append(free)
    return unique


def _not_together(names: Sequence[str]) -> set[str]:
    """Return scopes that are layers as well, or whose layers do not stand together."""
    layers, left, before = set(names), set[str](), set[str]()
    apart: set[str] = set()
    for name in names:
        parts = name.split(".")
        scopes = {".".join(parts[:end]) for end in range(1, len(parts))}
        apart |= scopes & (layers | left)
        left |= before - scopes
        before = scopes
    return apart
