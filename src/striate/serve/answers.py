"""What answers: the network by the fast path, planned for the batches that a server meets.

Decoding and preparation are those of `predict`, and so are the probabilities: to the bit where a
run brings its plan, else up to the rounding of the convolution algorithm that is fastest here.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import nn

from striate import data, engine, inference
from striate.contract import Contract
from striate.data.decode import Decoding, decode_as, to_channels
from striate.data.prepare import resized_size
from striate.errors import ContractError, DataError, RunError
from striate.inference import Model, metrics
from striate.inference.answering import planned
from striate.serve.bodies import HOW_TO_SEND, Picture
from striate.serve.refusal import Refusal

Pixels = npt.NDArray[np.float32]
Likely = npt.NDArray[np.float64]
Plans = Mapping[int, Mapping[str, str]]


def plans(model: Model, batch: int) -> dict[int, dict[str, str]]:
    """Return the convolution algorithms for an image alone and for a full batch.

    A run's own where it has them; else measured, which takes some seconds the first time on a
    machine, and nothing later.
    """
    own = planned(model)
    sizes = sorted({1, batch})
    if own:
        return {size: own for size in sizes}
    return {size: engine.plan(model.network(), batch=size).algorithms for size in sizes}


class Answerer:
    """A network with its contract, ready for images of any size.

    Args:
        model: a run, weights or a bundle.
        device: where.
        chosen: of `plans`; nothing for another device than a CPU.

    Raises:
        RunError: there are no weights yet.
    """

    def __init__(self, model: Model, device: torch.device, chosen: Plans) -> None:
        self.contract: Contract = model.contract()
        self.digest = self.contract.digest
        self.device = device
        net = inference.load(model, device)
        self.name = net.network.name
        self._shape = net.network.input_shape
        self._programs: dict[int, nn.Module] = {}
        if device.type != "cpu":
            self._programs[1] = net
            return
        made: dict[tuple[tuple[str, str], ...], nn.Module] = {}
        for size in sorted(chosen, reverse=True):
            key = tuple(sorted(chosen[size].items()))
            if key not in made:
                example = torch.empty((size, *self._shape), device="meta")
                made[key] = engine.accelerate(net, example, plan=dict(chosen[size]))
            self._programs[size] = made[key]

    def prepare(self, picture: Picture, most_pixels: int) -> Pixels:
        """Decode an image and prepare it for the network: (channels, height, width).

        Raises:
            Refusal: 413, too many pixels; 422, no image, damaged, or of a size that the network
                does not take.
        """
        try:
            self._measure(picture, most_pixels)
            stored = decode_as(picture.content, Decoding.of(self.contract), picture.name)
            return data.prepare(to_channels(stored, self.contract.channels), self.contract)
        except (DataError, ContractError) as error:
            hint = "" if _is_image(picture.content) else f" {HOW_TO_SEND}"
            raise Refusal(422, str(error) + hint) from None

    def _measure(self, picture: Picture, most_pixels: int) -> None:
        """Refuse what is large or becomes large: a sliver grows until its short side fits."""
        width, height = _size(picture.content)
        after = resized_size((height, width), self.contract.resize) if width * height else (0, 0)
        for (high, wide), becomes in (((height, width), ""), (after, ", which it is scaled to")):
            if high * wide > most_pixels:
                raise Refusal(
                    413,
                    f"Expected an image of at most {most_pixels:,} pixels, received "
                    f"{picture.name} of {wide}x{high}{becomes}.",
                )

    def __call__(self, images: Sequence[Pixels]) -> Likely:
        """Return the probabilities of prepared images: (images, classes).

        Raises:
            RunError: the network's outputs are not finite.
        """
        size = min(self._programs) if len(images) == 1 else max(self._programs)
        batch = torch.from_numpy(np.stack(images)).to(self.device)
        with torch.inference_mode():
            outputs = self._programs[size](batch).float().cpu().numpy()
        if not np.isfinite(outputs).all():
            raise RunError("The network's outputs are not finite: its weights are damaged.")
        return np.asarray(metrics.probabilities(outputs, self.contract.output), np.float64)

    def blank(self) -> Picture:
        """Return an image of nothing, of the network's size, to warm up with."""
        height, width = self.contract.size
        file = io.BytesIO()
        Image.new("RGB", (width, height)).save(file, "png")
        return Picture("a blank image", file.getvalue())


def _is_image(content: bytes) -> bool:
    """Tell whether content begins as an image does, whole or not."""
    return _size(content) != (0, 0)


def _size(content: bytes) -> tuple[int, int]:
    """Return an image's width and height by its header; nothing where decoding will say why."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            return image.size
    except Exception:  # whatever is wrong, the decoder says it in a sentence
        return (0, 0)
