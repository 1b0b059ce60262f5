"""Sections of a report that remake the image: what layers keep of it, and dream in it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from striate import draw, progress
from striate.contract import Contract
from striate.draw import Album, Picture, Section
from striate.explain.dream import dream
from striate.explain.invert import invert
from striate.explain.layers import has_places
from striate.inference import to_picture
from striate.layers import Net

_SMALLEST = 4  # pixels that the smallest octave of a dream has at least


def inversion_section(
    net: Net,
    contract: Contract,
    image: Tensor,
    album: Album,
    layers: Sequence[str],
    *,
    steps: int = 150,
    seed: int = 0,
) -> Section:
    """Draw, for each layer, an image that it takes for the one given."""
    shown, captions, measures = [to_picture(image, contract)], ["the image"], {}
    for layer in progress.track(layers, "inverting layers", "layers", len(layers)):
        found = invert(net, contract, image, layer, steps=steps, seed=seed)
        shown.append(to_picture(torch.from_numpy(found.pixels), contract))
        captions.append(f"{layer}\nerror {100 * found.error:.1f}%")
        measures[f"error_{layer}"] = found.error
    figure = draw.grid(shown, captions, title="What layers have kept", columns=5, tile=160)
    text = (
        "Images made from faint noise so that a layer has the values that it has for the image: "
        "what looks otherwise, the layer has thrown away. Error: how far its values still are from "
        "those wanted, as a share of them."
    )
    picture = Picture(file=album.put("inversion", figure), title="inversions", measures=measures)
    return Section(name="inversion", title="What is kept", text=text, pictures=(picture,))


def dream_section(
    net: Net,
    contract: Contract,
    image: Tensor,
    album: Album,
    layers: Sequence[str],
    *,
    seed: int = 0,
) -> Section:
    """Draw, for each layer that has places, the image as it dreams it."""
    octaves = 1
    while octaves < 4 and min(image.shape[1:]) / 1.4**octaves >= 2 * _SMALLEST:
        octaves += 1
    shown, captions, measures = [to_picture(image, contract)], ["the image"], {}
    with_places = [each for each in layers if has_places(net.network, each)]
    if not with_places or min(image.shape[1:]) < _SMALLEST:
        small = f"expected images of {_SMALLEST} pixels a side or more."
        reason = small if with_places else f"no places to dream at in {', '.join(layers)}."
        return Section(name="dream", title="Deep dream", text=f"Not shown: {reason}")
    for layer in progress.track(with_places, "dreaming", "layers", len(with_places)):
        found = dream(net, contract, image, layer, octaves=octaves, seed=seed)
        after, before = found.strength
        shown.append(to_picture(torch.from_numpy(found.pixels), contract))
        captions.append(f"{layer}\n{after / max(before, 1e-12):.1f} times as strong")
        measures[f"strength_{layer}"] = after
    figure = draw.grid(shown, captions, title="Deep dream", columns=5, tile=160)
    text = (
        "The image changed, from coarse to fine, so that whatever a layer sees in it is seen more "
        "strongly (its mean square)."
    )
    picture = Picture(file=album.put("dream", figure), title="dreams", measures=measures)
    return Section(name="dream", title="Deep dream", text=text, pictures=(picture,))
