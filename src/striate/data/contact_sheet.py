"""A contact sheet: images as they are, and beside each what the network sees in each epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch

from striate import draw
from striate.contract import Class, Contract
from striate.data.augmentation import Augmentation
from striate.data.loader import Loader
from striate.data.samples import Samples
from striate.data.whitening import Whitening

Pixels = npt.NDArray[np.uint8]

_RANGES = ("ratio", "scale", "short_side")  # fields of a least and a most value

_GREY, _CONTRAST = 128, 50  # of what is left without its mean, a deviation of 1 to 50 levels


def contact_sheet(
    samples: Samples,
    contract: Contract,
    augmentation: Sequence[Augmentation],
    *,
    seed: int = 0,
    images: int = 6,
    epochs: int = 7,
    whitening: Whitening | None = None,
    seen: Callable[[Sequence[int], int], npt.NDArray[np.float32]] | None = None,
    mixed: str = "",
) -> draw.Figure:
    """Draw some images and their augmentations, those that a training with this seed makes.

    Args:
        samples: the training part.
        contract: what images go through.
        augmentation: random changes, in order.
        seed: of the training.
        images: how many, spread evenly over the samples: a row each.
        epochs: how many of the first epochs are shown.
        whitening: what the network takes off an image first; the epochs are shown without it.
        seen: returns images by their places as an epoch shows them, where more is done to them
            than augmentation: others are mixed in.
        mixed: what that is called.
    """
    places = np.unique(np.linspace(0, len(samples) - 1, min(images, len(samples))).astype(int))
    chosen = places.tolist()
    plain, changed = (
        Loader(samples, contract, batch=len(samples), seed=seed, augmentation=each, shuffle=False)
        for each in ((), augmentation)
    )
    shown = seen or changed.images
    columns = [plain.images(chosen, 0), *(shown(chosen, each) for each in range(epochs))]
    tiles, captions = [], []
    for row, place in enumerate(chosen):
        label = contract.classes[int(samples.labels[place])]
        for number, column in enumerate(columns):
            if number and whitening is not None:
                left = whitening(torch.from_numpy(column[row : row + 1])).numpy()[0]
                tiles.append(departures(left, contract))
            else:
                tiles.append(visible(column[row], contract))
            captions.append(f"epoch {number}" if number else _caption(label, samples.ids[place]))
    changes = [_named(each) for each in augmentation] + [mixed] * bool(mixed)
    if whitening is not None:
        changes.append("mean image" if whitening.matrix is None else "whitening (ZCA)")
    what = ", ".join(changes) or "nothing"
    title = f"What is changed: {what}"
    amounts = "; ".join(filter(None, map(_amounts, augmentation)))
    return draw.grid(tiles, captions, title=title, note=amounts, columns=epochs + 1)


def visible(image: npt.NDArray[np.float32], contract: Contract) -> Pixels:
    """Turn a network's input back into pixels: (channels, h, w) -> (h, w, channels) uint8.

    Levels that the network sees but no screen shows are clipped.
    """
    slope, offset = (np.array(each)[:, None, None] for each in contract.inverse)
    levels = np.rint(image * slope + offset).clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
    return np.ascontiguousarray(levels[..., ::-1] if contract.channels == "bgr" else levels)


def departures(image: npt.NDArray[np.float32], contract: Contract) -> Pixels:
    """Turn what is left of an input without its mean into pixels, grey where nothing is left."""
    levels = np.rint(_GREY + _CONTRAST * image).clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
    return np.ascontiguousarray(levels[..., ::-1] if contract.channels == "bgr" else levels)


def _named(change: Augmentation) -> str:
    return f"{type(change).__name__}{' (nothing: give it numbers)' * change.idle}"


def _amounts(change: Augmentation) -> str:
    """Spell a change's numbers by the settings' names, without those that change nothing."""
    said = []
    for name in change.__struct_fields__:
        value = getattr(change, name)
        if isinstance(value, int | float) and value:
            said.append(f"{name} {value:.3g}")
        elif name in _RANGES and value != (1.0, 1.0):
            said.append(f"{name} {value[0]:.3g} to {value[1]:.3g}")
    return f"{type(change).__name__}: {', '.join(said)}" if said else ""


def _caption(label: Class, id: str) -> str:
    return f"{label.label}\n{id}"
