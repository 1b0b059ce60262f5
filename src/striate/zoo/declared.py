"""What papers and lectures print about a network, held against what is computed.

A printed figure that agrees is a test; one that does not is a correction, which the sheet shows
with both values. Nobody writes the computed value down: it is read off the sheet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import groupby
from typing import Literal

from striate.design import Sheet
from striate.errors import UsageError
from striate.records import Record

Quantity = Literal["parameters", "macs", "flops", "neurons", "activations", "connections"]

_SPELLED = {"macs": "multiply-adds", "flops": "FLOPs"}
_SUFFIXES = {"": 0, "K": 1, "M": 2, "G": 3}


class Figure(Record, frozen=True, kw_only=True):
    """A figure as it is printed.

    Args:
        what: the quantity; connections are the inputs of all units, biases among
            them. Parameters are those of evaluation, without heads for training.
        printed: digits as printed with K, M or G behind them: `2.7K`, `60M`, `650,000`.
        scope: the layer or scope it is about; the whole network unless given.
        source: who prints it.
        kilo: what K stands for, 1000 or 1024; M and G are its powers.
        why: for a figure that does not agree, the explanation in a few words.
    """

    what: Quantity
    printed: str
    scope: str = ""
    source: str = "the paper"
    kilo: int = 1000
    why: str = ""

    def __post_init__(self) -> None:
        self.bounds()

    def bounds(self) -> tuple[Decimal, Decimal]:
        """Return the printed value and the unit of its last digit.

        Zeros at the end of a number without a suffix are not digits: 650,000 has two.
        """
        digits = self.printed.rstrip("KMG")
        suffix = self.printed[len(digits) :]
        number = digits.replace(",", "")
        if suffix not in _SUFFIXES or not number.replace(".", "", 1).isdecimal():
            raise UsageError(f"Expected a figure such as 2.7K or 650,000, received {self.printed}.")
        scale = Decimal(self.kilo) ** _SUFFIXES[suffix]
        if suffix or "." in number:
            places = len(number.partition(".")[2])
        else:
            places = len(number.rstrip("0")) - len(number)
        return Decimal(number) * scale, scale / Decimal(10) ** places

    def holds(self, sheet: Sheet) -> bool:
        """Return whether the computed value lies less than one unit of the last digit away.

        Papers round and cut: 3.858 G is printed as 3.8, 7.570 G as 7.6.
        """
        value, unit = self.bounds()
        return abs(self.computed(sheet) - value) < unit

    def computed(self, sheet: Sheet) -> int:
        """Return the value of a sheet: of the layers in its scope, or of the whole network."""
        if not self.scope:
            return _total(self.what, sheet)
        rows = [
            row
            for row in sheet.layers
            if row.name == self.scope or row.name.startswith(f"{self.scope}.")
        ]
        if not rows or self.what == "activations":
            raise UsageError(f"{sheet.network}: there are no {self.what} of {self.scope!r}.")
        return sum(int(getattr(row, self.what)) for row in rows)


class Accuracy(Record, frozen=True, kw_only=True):
    """A published accuracy.

    Args:
        data: `imagenet`, `cifar10`, `cifar100`, `mnist`, `kgs` (experts' moves at Go).
        top1, top5: percent right, at the first answer or among five.
        source: who measured it, and on how many views of an image.
    """

    data: str
    top1: float | None = None
    top5: float | None = None
    source: str = "the paper"


def torchvision(top1: float, top5: float) -> Accuracy:
    """Return the accuracy of torchvision's first weights on ImageNet, one central crop."""
    source = "torchvision's weights IMAGENET1K_V1, one crop"
    return Accuracy(data="imagenet", top1=top1, top5=top5, source=source)


def agreements(figures: Sequence[Figure], sheet: Sheet) -> Iterator[str]:
    """Yield one sentence for the figures that agree, each source with its own; none for none.

    Example:
        >>> from striate import zoo
        >>> from striate.design import sheet
        >>> list(agreements(zoo.entry("resnet18").declared, sheet(zoo.network("resnet18"))))
        ["Agrees with the paper's table 1, as FLOPs: 1.8G multiply-adds."]
    """
    right = [figure for figure in figures if figure.holds(sheet)]
    said = []
    for source in dict.fromkeys(figure.source for figure in right):
        own = [figure for figure in right if figure.source == source]
        words = [_spelled(figure) for figure in own if not figure.scope]
        parts = len(own) - len(words)
        if parts:
            words.append(f"{parts} figure{'s' if parts > 1 else ''} of its layers")
        said.append(f"with {source}: {', '.join(words)}")
    if said:
        yield f"Agrees {'; '.join(said)}."


def _spelled(figure: Figure) -> str:
    return f"{figure.printed} {_SPELLED.get(figure.what, figure.what)}"


def corrections(figures: Sequence[Figure], sheet: Sheet) -> Iterator[str]:
    """Yield a sentence for the figures that do not agree, those of one explanation together."""
    wrong = [figure for figure in figures if not figure.holds(sheet)]
    for (source, why), group in groupby(wrong, key=lambda figure: (figure.source, figure.why)):
        pairs = ", ".join(
            _spelled(each)
            + (f" in {each.scope}" if each.scope else "")
            + f" (computed {each.computed(sheet):,})"
            for each in group
        )
        reason = f" {why[0].upper()}{why[1:]}." if why else ""
        yield f"Does not agree with {source}: {pairs}.{reason}"


def _total(what: Quantity, sheet: Sheet) -> int:
    if what == "neurons":
        return sum(row.neurons for row in sheet.layers)
    if what == "connections":
        return sum(row.connections for row in sheet.layers)
    totals = sheet.totals
    return {
        "parameters": totals.evaluation_parameters,
        "macs": totals.macs,
        "flops": totals.flops,
        "activations": totals.activations,
    }[what]
