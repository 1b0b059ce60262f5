"""Sections of a report that are about the network: filters, units, classes, layers, neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from striate import draw
from striate.contract import Contract
from striate.data import Samples
from striate.design import Conv
from striate.draw import Album, Picture, Section
from striate.draw.figure import Pixels
from striate.errors import DesignError
from striate.explain.attribution import to_array
from striate.explain.chance import classical_chance, gabor_chance, named
from striate.explain.classical import bank, respond, sobel
from striate.explain.embedding import embed
from striate.explain.filters import Filters, GaborFit, filters
from striate.explain.layers import last_features
from striate.explain.patches import Patch, top_patches
from striate.explain.shift import shift_consistency
from striate.explain.similarity import features, similarity
from striate.explain.unit import Unit, activations
from striate.explain.visualise import Style, Visualisation, class_goal, visualise_each
from striate.inference import to_picture
from striate.layers import Net
from striate.wording import count as counted

_SMALL = 64  # pixels of a side that are few
_MANY = 64  # filters or maps that one picture shows
_TAKEN = 0.5  # a picture made for a class and given less of it has failed
_ORANGE = (232, 89, 12)


def filter_section(
    net: Net, contract: Contract, image: Tensor | None, album: Album, layers: Sequence[str] = ()
) -> Section:
    """Draw filters, how near each is to a Gabor function, and what people wrote before them.

    Args:
        net, contract: as of `Method`.
        image: what the filters that people wrote answer to; none leaves them out.
        album: where pictures go.
        layers: whose filters; those that are no convolutions are passed over. The first
            convolution's unless one is given.
    """
    own = [each for each in layers if isinstance(net.network.layer(each), Conv)]
    try:
        found = [filters(net, layer) for layer in own or (None,)]
    except DesignError as error:
        return Section(name="filters", title="Filters", text=f"Not shown: {error}")
    pictures = [_filter_picture(each, contract, album) for each in found]
    if image is not None:
        pictures.append(_classical_picture(image, album))
    return Section(
        name="filters", title="Filters", text=_filter_legend(found), pictures=tuple(pictures)
    )


def _filter_legend(found: Sequence[Filters]) -> str:
    """Say what is drawn, and what the words below it mean."""
    fitted = {each.gabor[0].determined for each in found}
    below = []
    if True in fitted:
        below.append(
            "the share of its energy that its best Gabor function explains, with the direction and "
            "the wavelength"
        )
    if False in fitted:
        below.append(
            "the nearest classical filter (Gaussian, its Laplacian, an edge in one of eight "
            "directions) with their cosine, where numbers are too few to tell a Gabor function by"
        )
    return (
        "Each filter, grey where it is zero; over more than three channels its main spatial part. "
        f"Below each: {'; or '.join(below)}. None is named where 5% of random filters of that size "
        "come as near. Degrees are the direction in which the values change: 0 from left to right, "
        "45 towards the lower right, 90 downwards. The sign is dropped: light and dark may be "
        "exchanged."
    )


def _filter_picture(found: Filters, contract: Contract, album: Album) -> Picture:
    flipped = contract.channels == "bgr"
    shown = [
        (each[..., ::-1] if flipped else each) for each in (np.asarray(p) for p in found.pictures)
    ]
    told = named(found)
    captions = [
        _filter_words(fit, *near, known)
        for fit, near, known in zip(found.gabor, found.nearest, told, strict=True)
    ]
    figure = draw.grid(
        [(255 * each).round().astype(np.uint8) for each in shown[:_MANY]],
        captions[:_MANY],
        title=f"{found.layer}: {_first(len(shown))}{counted(len(shown), 'filter')}",
        tile=72,
    )
    note, measures = _against_chance(found)
    return Picture(
        file=album.put(f"filters_{found.layer}", figure),
        title=f"filters of {found.layer}",
        note=f"{note}; {sum(told)} of {len(told)} are nearer than that percentile, and named",
        measures={**measures, "named": float(np.mean(told))},
    )


def _filter_words(fit: GaborFit, name: str, near: float, known: bool) -> str:
    """Return what stands below a filter."""
    if fit.determined:
        share = f"{100 * fit.explained:.0f}% Gabor"
        wave = f"{fit.angle:.0f} deg, {fit.wavelength:.1f} px"
        return f"{share}\n{wave}" if known else f"none\n{share}"
    return f"{name if known else 'none'}\ncosine {near:.2f}"


def _against_chance(found: Filters) -> tuple[str, dict[str, float]]:
    """Return how near filters are to classical ones, and random filters of the size."""
    high, wide = found.weights.shape[2:]
    near = float(np.mean([cosine for _, cosine in found.nearest]))
    chance = classical_chance(high, wide)
    measures = {"classical": near, "classical_chance": chance.mean, "classical_high": chance.high}
    random = f"of random {high}x{wide} filters"
    note = (
        f"mean cosine with the nearest classical filter {near:.2f} ({random} {chance.mean:.2f}, "
        f"95th percentile {chance.high:.2f})"
    )
    if not found.gabor[0].determined:
        return note, measures
    share = float(np.mean([fit.explained for fit in found.gabor]))
    chance = gabor_chance(high, wide)
    measures |= {"gabor": share, "gabor_chance": chance.mean, "gabor_high": chance.high}
    return (
        f"{note}; a Gabor function explains {100 * share:.0f}% of a filter's energy on average "
        f"({random} {100 * chance.mean:.0f}%, 95th percentile {100 * chance.high:.0f}%)"
    ), measures


def _classical_picture(image: Tensor, album: Album) -> Picture:
    """Draw what filters that people wrote answer to the image."""
    side = max(5, min(15, min(image.shape[1:]) // 8 // 2 * 2 + 1))
    names, kernels = bank(side, side)
    chosen = {name.partition(",")[0]: index for index, name in reversed(list(enumerate(names)))}
    shown = ("gaussian", "laplacian", *(f"gabor {turn} deg" for turn in (0, 45, 90, 135)))
    grey = to_array(image.mean(0))
    own = [respond(grey, kernels[chosen[name]][None])[0] for name in shown]
    figure = draw.grid(
        [draw.signed_picture(each[None]) for each in (*respond(grey, sobel()), *own)],
        ["Sobel, across", "Sobel, down", *shown],
        title=f"Filters that people wrote ({side}x{side}), and what they answer to the image",
        columns=4,
        tile=128,
    )
    return Picture(
        file=album.put("filters_classical", figure),
        title="classical filters",
        note="for comparison: light where a filter's pattern is, dark where its negative is",
    )


def _first(number: int) -> str:
    """Say which of so many a picture shows, where that is not all of them."""
    return f"the first {_MANY} of " if number > _MANY else ""


def activation_section(
    net: Net, contract: Contract, image: Tensor, album: Album, layers: Sequence[str], name: str
) -> Section:
    """Draw what some layers answer to an image."""
    pictures = []
    for layer in layers:
        found = activations(net, contract, image, layer)
        maps = [(255 * each).round().astype(np.uint8) for each in found.pictures[:_MANY]]
        title = f"{layer}: {_first(len(found.pictures))}{counted(len(found.values), 'channel')}"
        figure = draw.grid(maps, title=title, tile=56, columns=16)
        pictures.append(
            Picture(
                file=album.put(f"{name}_{layer}", figure),
                title=title,
                note=f"{100 * found.idle:.0f}% of all are zero everywhere for this image",
                measures={"idle": found.idle},
            )
        )
    text = "All maps of a layer are on one scale, black where they are least."
    return Section(name=name, title="Activations", text=text, pictures=tuple(pictures))


def unit_section(
    net: Net,
    contract: Contract,
    samples: Samples,
    units: Sequence[Unit],
    album: Album,
    *,
    style: Style = "fourier",
    steps: int = 128,
    seed: int = 0,
) -> Section:
    """Draw, for each unit, its top patches, the deconvnet's account of them, and its own wish."""
    pictures = []
    for layer in dict.fromkeys(unit.layer for unit in units):
        own = [unit for unit in units if unit.layer == layer]
        found = top_patches(net, contract, samples, layer, [unit.channel for unit in own])
        wishes = visualise_each(net, contract, own, style=style, steps=steps, seed=seed)
        for unit, patches, wish in zip(own, found, wishes, strict=True):
            pictures.append(_unit_picture(contract, unit, patches, wish, album))
    text = (
        f"The patches, among {len(samples):,} images, that excite a unit most, each its exact "
        "receptive field; under them what in each excites it, sent back through the deconvnet; and "
        "a picture made to excite the whole map."
    )
    return Section(name="units", title="What units want", text=text, pictures=tuple(pictures))


def _unit_picture(
    contract: Contract,
    unit: Unit,
    patches: Sequence[Patch],
    wish: Visualisation,
    album: Album,
) -> Picture:
    shown = [to_picture(torch.from_numpy(each.pixels), contract) for each in patches]
    back = [draw.signed_picture(each.reconstruction) for each in patches]
    back = [each[..., ::-1] if contract.channels == "bgr" else each for each in back]
    made = to_picture(torch.from_numpy(wish.pixels[0]), contract)
    strengths = [f"{each.value:.3g}" for each in patches]
    figure = draw.grid(
        [*shown, made, *back],
        [*strengths, f"made: {wish.answers[0]:.3g}", *[""] * len(back)],
        title=str(unit),
        columns=max(len(shown) + 1, 1),
        tile=84,
    )
    drift = max((each.drift for each in patches), default=0.0)
    best = max((each.value for each in patches), default=0.0)
    return Picture(
        file=album.put(f"unit_{unit.layer}_{unit.channel}", figure),
        title=str(unit),
        note=f"with all outside the patch greyed the answers change by {drift:.1g} at most"
        if patches
        else "no image excites it: the unit is dead on this data",
        measures={"drift": drift, "strongest": best, "made": wish.answers[0]},
    )


def class_section(
    net: Net,
    contract: Contract,
    album: Album,
    *,
    style: Style = "fourier",
    most: int = 24,
    steps: int | None = None,
    seed: int = 0,
) -> Section:
    """Draw a picture made for each class, and what the network makes of it.

    Args:
        net, contract: as of `Method`.
        album: where pictures go.
        style: how they are kept pictures.
        most: classes drawn; the first.
        steps: of each; unless given 128, and 256 for small images, which have less to be moved.
        seed: of the start and the shaking.
    """
    steps = steps or (256 if max(contract.size) <= _SMALL else 128)
    classes = contract.classes[:most]
    goals = [class_goal(net, target) for target in range(len(classes))]
    made = visualise_each(net, contract, goals, style=style, steps=steps, seed=seed)
    shown, captions, likely = [], [], []
    for one, found in zip(classes, made, strict=True):
        share = (found.probabilities or (0.0,))[0]
        likely.append(share)
        pixels = to_picture(torch.from_numpy(found.pixels[0]), contract)
        shown.append(pixels if share >= _TAKEN else _framed(pixels))
        captions.append(f"{one.label}\n{100 * share:.1f}%{'' if share >= _TAKEN else ': failed'}")
    figure = draw.grid(shown, captions, title="Made for each class", columns=6, tile=120)
    sure = sum(share >= 0.95 for share in likely)
    failed = [
        f"{one.label} {100 * share:.1f}%"
        for one, share in zip(classes, likely, strict=True)
        if share < _TAKEN
    ]
    text = (
        "Pictures made by optimisation so that a class's score is high, from faint noise, and what "
        f"the network then says: {sure} of {len(likely)} are given at least 95%."
    )
    if failed:
        text += " Those given less than half have failed, and are framed in orange."
    picture = Picture(
        file=album.put("classes", figure),
        title="classes",
        note=f"failed: {', '.join(failed)}" if failed else "none failed",
        measures={"sure": sure / len(likely), "failed": len(failed) / len(likely)},
    )
    return Section(name="classes", title="Classes", text=text, pictures=(picture,))


def _framed(pixels: Pixels) -> Pixels:
    """Return a picture in colours inside an orange frame."""
    framed = np.array(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))
    width = max(1, min(framed.shape[:2]) // 24)
    inside = framed[width:-width, width:-width].copy()
    framed[:] = _ORANGE
    framed[width:-width, width:-width] = inside
    return framed


def layer_section(
    net: Net, contract: Contract, images: Tensor, album: Album, layers: Sequence[str]
) -> Section:
    """Draw how alike layers are, by CKA and RSA."""
    values = list(zip(layers, features(net, contract, images, layers), strict=True))
    pictures = []
    for measure, meaning in (("cka", "linear CKA"), ("rsa", "rank correlation of distances, RSA")):
        found = similarity(values, values, measure)  # type: ignore[arg-type]
        figure = draw.matrix(
            found.values,
            found.rows,
            found.columns,
            title="How alike layers are",
            note=f"{meaning}, {found.images} images",
        )
        pictures.append(Picture(file=album.put(measure, figure), title=meaning))
    text = "1 where two layers tell the same images apart in the same way."
    return Section(name="layers", title="Layers", text=text, pictures=tuple(pictures))


def shift_section(net: Net, contract: Contract, images: Tensor, album: Album) -> Section:
    """Draw how often the answer survives a shift."""
    most = max(1, min(8, min(contract.size) // 3))
    found = shift_consistency(net, contract, images, most=most)
    points = [(0.0, 1.0), *zip(map(float, found.shifts), found.same, strict=True)]
    figure = draw.lines({"same answer": points}, title="Shift consistency", below="shift in pixels")
    note = f"{100 * found.same[0]:.1f}% of answers are the same after a shift of one pixel"
    picture = Picture(
        file=album.put("shift", figure),
        title="shift consistency",
        note=note,
        measures={f"shift_{at}": same for at, same in zip(found.shifts, found.same, strict=True)},
    )
    text = f"{found.images} images moved in eight directions, their edges repeated."
    return Section(name="shift", title="Shifts", text=text, pictures=(picture,))


def neighbour_section(
    net: Net,
    contract: Contract,
    images: Tensor,
    labels: Sequence[int],
    names: Sequence[str],
    album: Album,
) -> Section:
    """Draw images where t-SNE puts their last features, framed by their classes."""
    layer = last_features(net)
    found = embed(features(net, contract, images, (layer,))[0])
    figure = draw.scatter(
        [to_picture(each, contract) for each in images],
        found.places,
        labels,
        names,
        title="What the network finds alike",
        note=f"t-SNE of {layer}, {len(images)} images; frames are the true classes",
    )
    note = f"{100 * found.neighbours:.0f}% of nearest neighbours in the features are so here"
    picture = Picture(
        file=album.put("neighbours", figure),
        title="t-SNE of the last features",
        note=note,
        measures={"neighbours": found.neighbours, "divergence": found.divergence},
    )
    text = "Distances between groups, and their sizes, mean nothing; who lies beside whom does."
    return Section(name="neighbours", title="Neighbours", text=text, pictures=(picture,))


def strongest(
    net: Net, contract: Contract, image: Tensor, layer: str, count: int
) -> tuple[Unit, ...]:
    """Return the channels of a layer that answer an image most."""
    values = activations(net, contract, image, layer).values
    peaks = values.reshape(len(values), -1).max(1)
    best = np.argsort(-peaks, kind="stable")[:count].tolist()
    return tuple(Unit(layer=layer, channel=channel) for channel in best)
