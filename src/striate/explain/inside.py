"""Looking inside a run: every section of the report, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
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
_OF_DATA = {"units", "layers", "shift", "neighbours"}  # parts that look through the run's images
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


def look_inside(
    run: inference.Model | Path | str,
    files: Iterable[Path | str],
    *,
    out: Path | str | None = None,
    look: Look | None = None,
    device: str = "auto",
) -> Report:
    """Write a folder of pictures, and one page, about a run's network and some images.

    Args:
        run: a run folder, or published weights.
        files: images, folders and globs, as `predict` takes them; at least one.
        out: the folder; `explain` in the run's `figures` unless given, or here for weights.
        look: what to look at.
        device: auto, cpu, cuda or cuda:N.

    Raises:
        DataError: a file that is not there or cannot be read, or none; or data that were asked for.
        UnknownName, UsageError, DesignError: a part, method, class, layer or unit that is not
            there.
        RunError, WeightsError: as of `predict`.
    """
    look = look or Look()
    look.check()
    opened = inference.open_model(run)
    contract, chosen = opened.contract(), choose_device(device)
    paths = inference.find(files)
    target = None if look.target is None else contract.index(look.target)
    net = inference.load(opened, chosen)
    for unit in look.units:
        _unit(unit).check(net)
    for layer in look.layers:
        Unit(layer=layer, channel=0).check(net)
    images = [read_pixels(path, contract).to(chosen) for path in paths]
    own = opened.figures / "explain" if isinstance(opened, runs.Run) else Path("explain")
    album = Album(Path(out) if out is not None else own)
    sections = tuple(_sections(opened, net, contract, paths, images, target, album, look))
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


def _sections(
    run: inference.Model,
    net: Net,
    contract: Contract,
    paths: Sequence[Path],
    images: Sequence[Tensor],
    target: int | None,
    album: Album,
    look: Look,
) -> Iterator[Section]:
    if "maps" in look.parts:
        for number, (path, image) in enumerate(zip(paths, images, strict=True), 1):
            yield map_section(
                net,
                contract,
                image,
                album,
                name=f"image{number}",
                title=path.name,
                methods=look.methods,
                target=target,
                layer=placed(net, look.layers),
                seed=look.seed,
            )
    layers = tuple(look.layers) or spread_layers(net, _LAYERS)
    simple: dict[str, Callable[[], Section | None]] = {
        "filters": lambda: gallery.filter_section(net, contract, images[0], album, look.layers),
        "activations": lambda: gallery.activation_section(
            net, contract, images[0], album, layers, "activations"
        ),
        "classes": lambda: gallery.class_section(
            net, contract, album, style=look.style, seed=look.seed
        ),
        "inversion": lambda: remade.inversion_section(
            net, contract, images[0], album, layers, seed=look.seed
        ),
        "dream": lambda: remade.dream_section(
            net, contract, images[0], album, layers, seed=look.seed
        ),
    }
    samples = _samples(run, look)
    if samples is not None:
        some = _some(samples[1].samples, contract, _COMPARED, look.seed).to(images[0].device)
        simple["units"] = lambda: gallery.unit_section(
            net,
            contract,
            samples[0].samples,
            _units(net, contract, images[0], look),
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
            section = simple[part]()
            if section is not None:
                yield section


def _samples(run: inference.Model, look: Look) -> tuple[inference.Images, ...] | None:
    """Return images to search, of the training part, and held-out ones, where they are there."""
    if not _OF_DATA & set(look.parts):
        return None
    try:
        searched = inference.find_images(run, look.data, "train")
        others = inference.find_images(run, look.data, "test")
    except DataError as error:
        if look.data is not None:
            raise
        progress.say(f"Note: there are no patches, layers, shifts and neighbours: {error}")
        return None
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
) -> Section | None:
    few = _thinned(found.samples, _PLACED, look.seed)
    if len(few) < 4:
        return None
    images = _some(few, contract, _PLACED, look.seed).to(next(net.parameters()).device)
    names = [each.label for each in found.classes]
    return gallery.neighbour_section(net, contract, images, few.labels.tolist(), names, album)


def _units(net: Net, contract: Contract, image: Tensor, look: Look) -> tuple[Unit, ...]:
    if look.units:
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
