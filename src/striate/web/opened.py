"""A network held open: its weights, a twin for each thread, its images."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from striate import data, inference, runs
from striate.contract import Contract
from striate.data import Samples
from striate.errors import DataError
from striate.inference import Model, of_levels
from striate.layers import Net, build
from striate.serve.refusal import Refusal
from striate.web import bench
from striate.web.folder import LIVE, reading
from striate.web.given import Part
from striate.web.pictures import check_picture


class Opened:
    """A network that the page looks into.

    Args:
        name: as the shelf calls it.
        model: its documents and weights.
        before: the same network with older weights, whose images are still good.

    Attributes:
        bytes: of its weights.
        stamp: tells these weights from later ones.
    """

    def __init__(self, name: str, model: Model, before: Opened | None = None) -> None:
        self.name, self.model = name, model
        self.contract: Contract = model.contract()
        self.stamp = _stamp(model)
        net = _load(model).requires_grad_(False).eval()
        self.network = net.network
        self._nets: dict[bench.Lane, Net] = {
            "quick": _watched(net),
            "slow": _watched(build(net.network, parameters=net).requires_grad_(False).eval()),
        }
        self.bytes = sum(each.nbytes for each in net.state_dict().values())
        same = before is not None and before.contract == self.contract
        self._images: dict[str, Any] = before._images if same and before else {}
        self._lock = threading.Lock()

    def is_current(self) -> bool:
        """Tell whether there are no newer weights."""
        return self.stamp == _stamp(self.model)

    def net(self, lane: bench.Lane) -> Net:
        """Return the thread's own net, which shares its tensors with the other's."""
        return self._nets[lane]

    # -- images

    def images(self, part: Part) -> inference.Images:
        """Return the images of a part of the run's data.

        Raises:
            DataError: they are not there, or it is no run.
        """
        with self._lock:
            if part not in self._images:
                with reading(self.name):
                    self._images[part] = inference.find_images(self.model, None, part)
            found: inference.Images = self._images[part]
            return found

    def stored(self, part: Part, index: int) -> np.ndarray[Any, Any]:
        """Return an image of the data as it can be shown: (height, width, 1 or 3) uint8."""
        samples = self.images(part).samples
        _within(index, len(samples))
        return samples.stored(index)

    def sample(self, part: Part, index: int) -> Tensor:
        """Return an image of the data as a `PixelNet` takes it: (channels, height, width)."""
        samples = self.images(part).samples
        _within(index, len(samples))
        levels = data.prepare(samples.pixels(index, self.contract), of_levels(self.contract))
        return torch.from_numpy(levels) / 255.0

    def dropped(self, content: bytes) -> Tensor:
        """Return a file as a `PixelNet` takes it: (channels, height, width)."""
        check_picture(content)
        pixels = data.decode(content, self.contract)
        return torch.from_numpy(data.prepare(pixels, of_levels(self.contract))) / 255.0

    def some(self, part: Part, most: int) -> Samples:
        """Return up to so many samples, evenly from all."""
        samples = self.images(part).samples
        if len(samples) <= most:
            return samples
        return samples.subset(np.linspace(0, len(samples) - 1, most).round().astype(np.int64))


def _within(index: int, count: int) -> None:
    if not 0 <= index < count:
        raise Refusal(404, f"Expected an image of 0 to {count - 1}, received {index}.")


def _places(model: Model) -> list[Path]:
    if isinstance(model, runs.Run):
        return [model.figures / LIVE, model.weights]
    return [Path(model.path)]


def _stamp(model: Model) -> tuple[str, int, int] | None:
    """Return which file has the newest weights, its time and size."""
    found = []
    for path in _places(model):
        try:
            status = path.stat()
        except OSError:
            continue
        found.append((status.st_mtime_ns, path.name, status.st_size))
    if not found:
        return None
    time, name, size = max(found)
    return name, time, size


def _load(model: Model) -> Net:
    stamp = _stamp(model)
    if isinstance(model, runs.Run) and stamp is not None and stamp[0] == LIVE:
        try:
            return inference.load_weights(model.network(), model.figures / LIVE)
        except Exception as error:
            if not model.weights.exists():
                raise DataError(f"{LIVE} cannot be read: {error}") from error
    return inference.load(model)


def _watched(net: Net) -> Net:
    """Let every layer of a net end a job that has been given up."""

    def look(module: nn.Module, given: Any) -> None:
        bench.check()

    for module in net.modules():
        if not list(module.children()):
            module.register_forward_pre_hook(look)
    return net
