"""What attacking a run found, as a record and as sections of a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from striate.attack.robustness import Robustness
from striate.draw import Picture, Section
from striate.records import Record
from striate.wording import count


class Nearest(Record, frozen=True, kw_only=True):
    """How far the nearest image of another class is.

    Args:
        attack: its name.
        n: images tried: those answered right.
        found: share for which one was found.
        median: length of the change, Euclidean, in full pixels.
        median_pixel: its largest change of a pixel.
    """

    attack: str
    n: int
    found: float
    median: float
    median_pixel: float


class Common(Record, frozen=True, kw_only=True):
    """One perturbation for all images.

    Args:
        eps: its largest pixel.
        found_on: accuracy on the images it was found on.
        others: accuracy on other images.
    """

    eps: float
    found_on: float
    others: float


class Assault(Record, frozen=True, kw_only=True):
    """What attacks do to a run's network.

    Args:
        run: the run folder.
        network: its name.
        data: what the data is called.
        contract: digest of the contract; pixels are what it makes of an image, 0 to 1.
        table: accuracy against eps, and the guards.
        nearest: per attack that seeks the nearest boundary.
        universal: one perturbation for all.
        files: pictures and the page that shows them, by name.
    """

    run: str
    network: str
    data: str
    contract: str
    table: Robustness
    nearest: tuple[Nearest, ...]
    universal: Common | None
    files: dict[str, str]


def sections(found: Assault, pictures: Mapping[str, Picture]) -> Iterator[Section]:
    """Tell what was found: the table, the guards, how far boundaries are, and pictures.

    Args:
        found: everything.
        pictures: by name; the table's is called `accuracy`, those of one's own images begin with
            `own`.
    """
    rows = [
        (
            row.attack,
            f"{row.eps:.4g}",
            f"{100 * row.accuracy:.2f}%",
            f"{100 * row.interval[0]:.1f}% to {100 * row.interval[1]:.1f}%",
            f"{100 * row.confidence:.1f}%",
        )
        for row in found.table.rows
    ]
    yield Section(
        name="accuracy",
        title="Accuracy",
        text=f"{count(found.table.n, 'image')} of {found.data}. eps: how far a pixel may move, as "
        "a share of its full range. Confidence: the mean probability of the answers given.",
        table=(("attack", "eps", "accuracy", "95% interval", "confidence"), *rows),
        pictures=tuple(each for name, each in pictures.items() if name == "accuracy"),
    )
    yield _guards(found)
    if found.nearest or found.universal:
        yield _distances(found)
    shown = {name: each for name, each in pictures.items() if name != "accuracy"}
    own = tuple(each for name, each in shown.items() if name.startswith("own"))
    others = tuple(each for name, each in shown.items() if not name.startswith("own"))
    for name, title, some in (("fooled", "How it is fooled", others), ("own", "Your images", own)):
        if some:
            text = "The image, what is added, made visible, and the result; with what it is taken "
            yield Section(name=name, title=title, text=f"{text}for, and how surely.", pictures=some)


def _guards(found: Assault) -> Section:
    failed = [guard for guard in found.table.guards if not guard.passed]
    text = (
        f"{count(len(failed), 'guard')} failed: the figures above are not to be trusted."
        if failed
        else "All hold: nothing suggests that the figures above are too good to be true."
    )
    rows = [
        (
            "holds" if guard.passed else "FAILS",
            guard.name,
            guard.found if guard.passed else f"{guard.found}. {guard.meaning}",
        )
        for guard in found.table.guards
    ]
    header = ("", "what has to hold", "found")
    return Section(name="guards", title="Guards", text=text, table=(header, *rows))


def _distances(found: Assault) -> Section:
    rows = [
        (
            each.attack,
            f"{each.median:.3g}",
            f"{each.median_pixel:.3g}",
            f"{100 * each.found:.0f}% of {each.n}",
        )
        for each in found.nearest
    ]
    text = "How far the nearest image of another class is, as the median over images."
    if found.universal is not None:
        one = found.universal
        text += (
            f" One perturbation of eps {one.eps:.3g} for all leaves {100 * one.others:.1f}% right "
            "of images that it was not found on."
        )
    header = ("attack", "Euclidean", "largest pixel", "found for")
    return Section(name="nearest", title="Nearest boundaries", text=text, table=(header, *rows))
