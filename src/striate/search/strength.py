"""Augmentation made weaker or stronger as a whole: 0 is none, 1 as it is, 2 twice as much.

What an image is moved, turned or coloured by is multiplied; what happens with a probability happens
more or less often; a mirror image is one at any strength, and TrivialAugment draws its own, so they
only go at 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch

from striate.data import (
    Affine,
    Augmentation,
    ColourJitter,
    Cutout,
    Erase,
    Flip,
    LensDistortion,
    Lighting,
    Noise,
    PadAndCrop,
    Perspective,
    RandAugment,
    RandomResizedCrop,
    ShortSideCrop,
    Stretch,
    TrivialAugment,
)
from striate.errors import UsageError


def strengthened(augmentation: Sequence[Augmentation], strength: float) -> tuple[Augmentation, ...]:
    """Return the changes at a strength of at least 0.

    Raises:
        UsageError: a strength below 0.

    Example:
        >>> strengthened((PadAndCrop(pad=4),), 0.5)[0].pad
        2
    """
    if strength < 0:
        raise UsageError(f"Expected an augmentation strength of at least 0, received {strength:g}.")
    return tuple(_scaled(each, strength) for each in augmentation if strength > 0)


@singledispatch
def _scaled(change: Augmentation, strength: float) -> Augmentation:
    kind = type(change).__name__
    raise UsageError(f"{kind} has no strength to search; name its fields instead.")


@_scaled.register
def _(change: Flip | TrivialAugment, strength: float) -> Augmentation:
    return change


@_scaled.register
def _(change: PadAndCrop, strength: float) -> Augmentation:
    return change.replace(pad=round(change.pad * strength))


@_scaled.register
def _(change: Affine, strength: float) -> Augmentation:
    least, most = change.scale
    return change.replace(
        rotate_degrees=min(change.rotate_degrees * strength, 360.0),
        translate=min(change.translate * strength, 1.0),
        scale=(max(least**strength, 1 / 16), min(most**strength, 16.0)),
        shear=min(change.shear * strength, 4.0),
    )


@_scaled.register
def _(change: RandomResizedCrop, strength: float) -> Augmentation:
    least, most = change.scale
    wide, tall = change.ratio
    return change.replace(scale=(least**strength, most), ratio=(wide**strength, tall**strength))


@_scaled.register
def _(change: ColourJitter, strength: float) -> Augmentation:
    return change.replace(
        brightness=min(change.brightness * strength, 1.0),
        contrast=min(change.contrast * strength, 1.0),
        saturation=min(change.saturation * strength, 1.0),
        hue=min(change.hue * strength, 0.5),
    )


@_scaled.register
def _(change: Erase, strength: float) -> Augmentation:
    return change.replace(p=min(change.p * strength, 1.0))


@_scaled.register
def _(change: Cutout, strength: float) -> Augmentation:
    return change.replace(size=max(round(change.size * strength), 1))


@_scaled.register
def _(change: Stretch, strength: float) -> Augmentation:
    return change.replace(ratio=tuple(each**strength for each in change.ratio))


@_scaled.register
def _(change: Perspective, strength: float) -> Augmentation:
    return change.replace(distortion=min(change.distortion * strength, 0.99))


@_scaled.register
def _(change: LensDistortion, strength: float) -> Augmentation:
    return change.replace(
        strength=min(change.strength * strength, 1.0), second=min(change.second * strength, 1.0)
    )


@_scaled.register
def _(change: ShortSideCrop, strength: float) -> Augmentation:
    least, most = change.short_side
    return change.replace(short_side=(least, round(least * (most / least) ** strength)))


@_scaled.register
def _(change: Lighting, strength: float) -> Augmentation:
    return change.replace(std=change.std * strength)


@_scaled.register
def _(change: Noise, strength: float) -> Augmentation:
    return change.replace(std=min(change.std * strength, 255.0))


@_scaled.register
def _(change: RandAugment, strength: float) -> Augmentation:
    return change.replace(magnitude=min(round(change.magnitude * strength), 30))
