"""Looking inside a run: every section of the report, in order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from striate import data, draw, inference, progress, runs
from striate.contract import Contract
from striate.data import Samples
from striate.draw import Album, Section
from striate.errors import DataError, UnknownName, UsageError
from striate.explain import gallery, remade
from striate.explain.layers import last_features, placed, spread_layers
from striate.explain.maps import map_section
from striate.explain.methods import METHODS, method
from striate.explain.report import Report
from striate.explain.unit import Unit
from striate.explain.visualise import STYLES, Style
from striate.files import atomic_write
from striate.inference import of_levels, read_pixels
from striate.layers import Net
from striate.ops import choose_device
from striate.records import nearest, to_json
from striate.wording import count as counted
from striate.wording import duration

PARTS = (
    "maps",
    "filters",
    "activations",
    "units",
    "classes",
    "inversion",
    "dream",
    "layers",
    "shift",
    "neighbours",
)
_OF_IMAGE = {"maps", "activations", "inversion", "dream"}  # parts that are about an image
_OF_DATA = {  # parts that look through the run's images, and their titles
    "units": "What units want",
    "layers": "Layers",
    "shift": "Shifts",
    "neighbours": "Neighbours",
}
_SLOW = {"units", "classes", "shift"}  # parts that take most of a page's time
_LAYERS, _CHANNELS, _PLACED, _COMPARED = 3, 3, 400, 200


@dataclass(frozen=True)
class Look:
    """What to look at.

    Args:
        parts: of the report, by name; all unless given.
        methods: attribution methods by name; all unless given.
        target: id or label of the class that maps explain; the likeliest unless given.
        units: `layer:channel` each; the ones the first image excites most unless given.
        layers: whose filters, activations, inversions and dreams, and where Grad-CAM reads; the
            first convolution's filters, and layers from the first to the last, unless given.
        style: how pictures made for units and classes are kept pictures (see `visualise`).
        data: where patches and neighbours come from, as `data.open` takes it; the run's own data
            unless given, and none for published weights.
        search: how many training images to search for patches.
        seed: of everything random.
    """

    parts: Sequence[str] = PARTS
    methods: Sequence[str] = tuple(METHODS)
    target: str | None = None
    units: Sequence[str] = ()
    layers: Sequence[str] = ()
    style: Style = "fourier"
    data: str | None = None
    search: int = 2000
    seed: int = 0

    def check(self) -> None:
        """Refuse names that are not known, before anything is computed.

        Raises:
            UnknownName: a part or a method; carries the nearest names.
            UsageError: a unit that is not `layer:channel`, or nothing to search.
        """
        for part in self.parts:
            if part not in PARTS:
                known = f"Known: {', '.join(PARTS)}."
                raise UnknownName("part of the report", part, nearest(part, PARTS), known)
        for name in self.methods:
            method(name)
        for unit in self.units:
            _unit(unit)
        if self.style not in STYLES:
            raise UnknownName("style", self.style, nearest(self.style, STYLES))
        if self.search < 1:
            raise UsageError(f"Expected at least one image to search, received {self.search=}.")

    @property
    def of_image(self) -> list[str]:
        """The parts that are about an image; units are, where the image says which."""
        chosen = {*_OF_IMAGE, *(() if self.units else ("units",))}
        return [part for part in PARTS if part in self.parts and part in chosen]


def look_inside(
    run: inference.Model | Path | str,
    files: Iterable[Path | str] = (),
    *,
    out: Path | str | None = None,
    look: Look | None = None,
    device: str = "auto",
) -> Report:
    """Write a folder of pictures, and one page, about a run's network and some images.

    Args:
        run: a run folder, or published weights.
        files: images, folders and globs, as `predict` takes them. Without any, the first held-out
            image of the run's own data (or of `look.data`) where a part is about an image.
        out: the folder; `explain` in the run's `figures` unless given, or here for weights.
        look: what to look at.
        device: auto, cpu, cuda or cuda:N.

    Raises:
        DataError: a file that is not there or cannot be read, or none where one is needed and none
            is held out; or data that were asked for.
        UnknownName, UsageError, DesignError: a part, method, class, layer or unit that is not
            there.
        RunError, WeightsError: as of `predict`.
    """
    look = look or Look()
    look.check()
    opened = inference.open_model(run)
    contract, chosen = opened.contract(), choose_device(device)
    named = list(files)
    paths = inference.find(named) if named else ()
    target = None if look.target is None else contract.index(look.target)
    net = inference.load(opened, chosen)
    for unit in look.units:
        _unit(unit).check(net)
    for layer in look.layers:
        Unit(layer=layer, channel=0).check(net)
    images = [(path.name, read_pixels(path, contract).to(chosen)) for path in paths]
    if not images and look.of_image:
        title, pixels = _held_out(opened, contract, look)
        images = [(title, pixels.to(chosen))]
    own = opened.figures / "explain" if isinstance(opened, runs.Run) else Path("explain")
    album = Album(Path(out) if out is not None else own)
    samples = _samples(opened, look)  # refused before minutes are spent
    making = _sections(samples, net, contract, images, target, album, look)
    sections = tuple(_told(making, look, len(images)))
    report = Report(
        run=str(opened.path),
        network=net.network.name,
        contract=contract.digest,
        folder=str(album.folder),
        page=str(album.folder / "index.html"),
        sections=sections,
    )
    about = f"{report.run}, contract {report.contract[:16]}"
    html = draw.page(f"Inside {report.network}", about, sections)
    atomic_write(album.folder / "index.html", html.encode())
    atomic_write(album.folder / "report.json", to_json(report, indent=2) + b"\n")
    return report


def _told(making: Iterator[Section], look: Look, images: int) -> Iterator[Section]:
    """Say what is about to be made, and as each part ends how long it took."""
    parts = [part for part in PARTS if part in look.parts]
    several = len(parts) + (images - 1 if "maps" in parts else 0) > 1
    slow = [part for part in parts if part in _SLOW]
    if several:
        whose = f" of {counted(images, 'image')}" if images else ""
        cheaper = f" Most time goes to {', '.join(slow)}; --part maps alone takes seconds an image."
        progress.say(f"Making {', '.join(parts)}{whose}.{cheaper if slow else ''}")
    begun = time.monotonic()
    for section in making:
        if several:
            name = section.name if section.name in parts else f"maps of {section.title}"
            progress.say(f"{name}: {duration(time.monotonic() - begun)}")
        yield section
        begun = time.monotonic()


def _sections(
    samples: tuple[inference.Images, ...] | str | None,
    net: Net,
    contract: Contract,
    images: Sequence[tuple[str, Tensor]],
    target: int | None,
    album: Album,
    look: Look,
) -> Iterator[Section]:
    if "maps" in look.parts:
        for number, (title, pixels) in enumerate(images, 1):
            yield map_section(
                net,
                contract,
                pixels,
                album,
                name=f"image{number}",
                title=title,
                methods=look.methods,
                target=target,
                layer=placed(net, look.layers),
                seed=look.seed,
            )
    layers = tuple(look.layers) or spread_layers(net, _LAYERS)
    image = images[0][1] if images else None
    simple: dict[str, Callable[[], Section]] = {
        "filters": lambda: gallery.filter_section(net, contract, image, album, look.layers),
        "activations": lambda: gallery.activation_section(
            net, contract, images[0][1], album, layers, "activations"
        ),
        "classes": lambda: gallery.class_section(
            net, contract, album, style=look.style, seed=look.seed
        ),
        "inversion": lambda: remade.inversion_section(
            net, contract, images[0][1], album, layers, seed=look.seed
        ),
        "dream": lambda: remade.dream_section(
            net, contract, images[0][1], album, layers, seed=look.seed
        ),
    }
    if isinstance(samples, str):
        simple |= {part: partial(_left_out, part, samples) for part in _OF_DATA}
    elif samples is not None:
        device = next(net.parameters()).device
        some = _some(samples[1].samples, contract, _COMPARED, look.seed).to(device)
        simple["units"] = lambda: gallery.unit_section(
            net,
            contract,
            samples[0].samples,
            _units(net, contract, image, look),
            album,
            style=look.style,
            seed=look.seed,
        )
        simple["layers"] = lambda: gallery.layer_section(
            net, contract, some, album, (*spread_layers(net, 8), last_features(net))
        )
        simple["shift"] = lambda: gallery.shift_section(net, contract, some, album)
        simple["neighbours"] = lambda: _neighbours(net, contract, samples[1], album, look)
    for part in PARTS:
        if part in look.parts and part in simple:
            yield simple[part]()


def _left_out(part: str, reason: str) -> Section:
    return Section(name=part, title=_OF_DATA[part], text=f"Not shown: {reason}")


def _held_out(run: inference.Model, contract: Contract, look: Look) -> tuple[str, Tensor]:
    """Return the first held-out image, and what it is called; say which it is."""
    try:
        if reason := _no_data(run, look):
            raise DataError(reason)
        found = inference.find_images(run, look.data, "test")
    except DataError as error:
        raise DataError(
            f"Expected an image, which {' and '.join(look.of_image)} need, as none is held out: "
            f"{error} --part filters and --part classes need none."
        ) from error
    levels = data.prepare(found.samples.pixels(0, contract), of_levels(contract))
    label = found.classes[int(found.samples.labels[0])].label
    title = f"{found.samples.ids[0]} of {found.data}, {found.part} part ({label})"
    progress.say(f"Note: no image was named; taken is {title}.")
    return title, torch.from_numpy(levels) / 255.0


def _no_data(run: inference.Model, look: Look) -> str:
    """Return why there is nothing to look through, where a network comes without data."""
    if look.data is not None or isinstance(run, runs.Run):
        return ""
    return f"{run.path} has no data of its own; name some, --data DATA."


def _samples(run: inference.Model, look: Look) -> tuple[inference.Images, ...] | str | None:
    """Return images to search, of the training part, and held-out ones; or why there are none."""
    if not _OF_DATA.keys() & set(look.parts):
        return None
    if reason := _no_data(run, look):
        return reason
    try:
        searched = inference.find_images(run, look.data, "train")
        others = inference.find_images(run, look.data, "test")
    except DataError as error:
        if look.data is not None:
            raise
        return str(error)
    few = _thinned(searched.samples, look.search, look.seed)
    return searched._replace(samples=few), others


def _thinned(samples: Samples, most: int, seed: int) -> Samples:
    if len(samples) <= most:
        return samples
    from striate.randomness import stream

    return samples.subset(np.sort(stream(seed, "search").permutation("o", len(samples))[:most]))


def _some(samples: Samples, contract: Contract, most: int, seed: int) -> Tensor:
    """Return some images as pixels: (images, channels, height, width)."""
    few = _thinned(samples, most, seed)
    levels = [
        data.prepare(few.pixels(index, contract), of_levels(contract)) for index in range(len(few))
    ]
    return torch.from_numpy(np.stack(levels)) / 255.0


def _neighbours(
    net: Net, contract: Contract, found: inference.Images, album: Album, look: Look
) -> Section:
    few = _thinned(found.samples, _PLACED, look.seed)
    if len(few) < 4:
        return _left_out("neighbours", f"{counted(len(few), 'image')}, expected 4 or more.")
    images = _some(few, contract, _PLACED, look.seed).to(next(net.parameters()).device)
    names = [each.label for each in found.classes]
    return gallery.neighbour_section(net, contract, images, few.labels.tolist(), names, album)


def _units(net: Net, contract: Contract, image: Tensor | None, look: Look) -> tuple[Unit, ...]:
    if look.units or image is None:
        return tuple(_unit(each) for each in look.units)
    layers = spread_layers(net, _LAYERS)
    return tuple(
        unit
        for layer in layers
        for unit in gallery.strongest(net, contract, image, layer, _CHANNELS)
    )


def _unit(text: str) -> Unit:
    layer, colon, channel = text.rpartition(":")
    if not colon or not layer or not channel.isdecimal():
        raise UsageError(f"Expected a unit as layer:channel (conv2:17), received {text!r}.")
    return Unit(layer=layer, channel=int(channel))
