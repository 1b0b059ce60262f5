"""A network and its contract as one torch.export program: decoded pixels in, probabilities out.

The preprocessing is the very one that is written into ONNX, computed by torch's operators instead:
one description of the contract, two machines that run it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from striate.contract import Contract
from striate.export.preprocessing import preprocess
from striate.export.prove import Exported, Floats, Pixels
from striate.layers import Net

_KINDS = {
    "FLOAT": torch.float32, "DOUBLE": torch.float64, "INT64": torch.int64, "UINT8": torch.uint8,
}  # fmt: skip


class Eager:
    """A pen that computes: ONNX's operators by torch's, as far as a contract needs them.

    Lists of integers stay lists: they are axes and places, which a traced program needs to know.
    """

    def op(self, kind: str, *inputs: Tensor, **attributes: Any) -> Tensor:
        """Return what an operator gives."""
        return _OPERATORS[kind](*inputs, **attributes)

    def constant(self, value: npt.ArrayLike, kind: type[Any] | None = None) -> Tensor:
        """Return a constant."""
        return torch.tensor(np.asarray(value, kind))

    def integers(self, *values: int) -> Tensor:
        """Return a list of int64."""
        return torch.tensor(values, dtype=torch.int64)

    def integer(self, value: int) -> Tensor:
        """Return a single int64."""
        return torch.tensor(value, dtype=torch.int64)

    def double(self, value: float) -> Tensor:
        """Return a single float64."""
        return torch.tensor(value, dtype=torch.float64)

    def cast(self, value: Tensor, kind: str) -> Tensor:
        """Return a value as FLOAT, DOUBLE, INT64 or UINT8."""
        return value.to(_KINDS[kind])

    def size(self, value: Tensor, axis: int) -> Tensor:
        """Return the size of an axis, as int64, which stays open where the axis does."""
        return torch.scalar_tensor(value.shape[axis], dtype=torch.int64)

    def choose(
        self, condition: Tensor, one: Callable[[], Tensor], other: Callable[[], Tensor]
    ) -> Tensor:
        """Return what one of two functions gives; both are computed, as a program has no branch."""
        return torch.where(condition, one(), other())

    def places(self, value: Tensor, axis: int) -> Tensor:
        """Return 0, 1, ... up to the size of an axis, as int64."""
        return torch.arange(value.shape[axis])


def _divide(a: Tensor, b: Tensor) -> Tensor:
    whole = not (a.is_floating_point() or b.is_floating_point())
    return torch.div(a, b, rounding_mode="trunc" if whole else None)


def _gather(x: Tensor, places: Tensor, *, axis: int) -> Tensor:
    return x.index_select(axis, places)


def _clip(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return torch.minimum(torch.maximum(x, low), high)


_OPERATORS: dict[str, Callable[..., Tensor]] = {
    "Abs": torch.abs,
    "Add": torch.add,
    "And": torch.logical_and,
    "Ceil": torch.ceil,
    "Clip": _clip,
    "Div": _divide,
    "Equal": torch.eq,
    "Floor": torch.floor,
    "Gather": _gather,
    "Greater": torch.gt,
    "GreaterOrEqual": torch.ge,
    "Less": torch.lt,
    "LessOrEqual": torch.le,
    "MatMul": torch.matmul,
    "Max": torch.maximum,
    "Min": torch.minimum,
    "Mul": torch.mul,
    "Round": torch.round,
    "Sin": torch.sin,
    "Sub": torch.sub,
    "Transpose": lambda x, perm: x.permute(perm),
    "ReduceSum": lambda x, axes, keepdims: x.sum(int(axes), keepdim=bool(keepdims)),
    "Unsqueeze": lambda x, axes: x.unsqueeze(int(axes)),
    "Where": torch.where,
}


class Whole(nn.Module):
    """Contract and network as one module: (batch, height, width, 3) uint8 -> probabilities, label.

    Args:
        net: the network; in evaluation.
        contract: its own.
    """

    def __init__(self, net: Net, contract: Contract) -> None:
        super().__init__()
        self.net, self.contract = net, contract

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, height, width, 3) uint8 -> (batch, classes) float32, (batch,) int64."""
        scores = self.net(preprocess(_PEN, pixels, self.contract))
        if self.contract.output == "distances":
            scores = -scores
        if self.contract.output != "probabilities":
            scores = scores.softmax(1)
        return scores, scores.argmax(1)


_PEN = Eager()


def to_torch(net: Net, contract: Contract, path: Path) -> None:
    """Write a torch.export program whose preprocessing is inside, for any size and batch.

    Raises:
        UsageError: a contract that cannot be exported.
    """
    whole = Whole(net, contract).eval()
    height, width = (edge + 13 + place for place, edge in enumerate(contract.size))
    example = torch.zeros((2, height, width, 3), dtype=torch.uint8)
    dim = torch.export.Dim
    free = {0: dim("batch"), 1: dim("height"), 2: dim("width")}
    with torch.no_grad():
        program = torch.export.export(
            whole, (example,), dynamic_shapes={"pixels": free}, strict=False
        )
    torch.export.save(program, path)


def torch_session(path: Path) -> Exported:
    """Return a torch.export program as a function of pixels."""
    module = torch.export.load(path).module()

    def answer(pixels: Pixels) -> Floats:
        with torch.inference_mode():
            found, _ = module(torch.tensor(pixels[None]))
        return np.asarray(found[0], np.float64)

    return answer
