"""Weights, opened: what a run is to the commands, made elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from striate.contract import Contract
from striate.design import Network
from striate.files import sha256
from striate.layers import Net, build, describe
from striate.weights.fitting import fit
from striate.weights.published import Published


@dataclass(frozen=True)
class Weights:
    """A network that somebody trained.

    Args:
        path: the file, or the first of its files.
        paper: the network.
        tensors: by the names the network gives them.
        meaning: what its inputs and outputs are.
        published: what is known of the file, where it is a published one.
        notes: what a user should know, in whole sentences.
    """

    path: Path
    paper: Network
    tensors: Mapping[str, Tensor] = field(repr=False)
    meaning: Contract = field(repr=False)
    published: Published | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, module: nn.Module, contract: Contract) -> Weights:
        """Take a module of one's own for what a run is elsewhere: explained, attacked, exported.

        It is described and rebuilt on its own tensors, as they are now.

        Args:
            module: a Net, or any module that `striate.describe` can describe.
            contract: what its inputs and outputs are.

        Raises:
            DesignError: a part of it cannot be described; names it.
        """
        net = module
        if not isinstance(net, Net):
            net = build(describe(module, contract.shape), parameters=module)
        return cls(Path(net.network.name), net.network, net.state_dict(), contract)

    @property
    def name(self) -> str:
        """What it is called: its registered name, or its network's."""
        return self.published.name if self.published else self.paper.name

    @property
    def identity(self) -> str:
        """The sha256 of the file; of a module of one's own, that of its tensors."""
        if self.path.is_file():
            return sha256(self.path)
        own = {
            name: each.detach().cpu().contiguous().clone() for name, each in self.tensors.items()
        }
        return hashlib.sha256(save(own)).hexdigest()

    def network(self) -> Network:
        """Return the network, on paper."""
        return self.paper

    def contract(self) -> Contract:
        """Return the contract."""
        return self.meaning

    def load(self, device: torch.device | str = "cpu") -> Net:
        """Return the network with its weights, in evaluation mode.

        Raises:
            WeightsError: they do not fit; names every tensor.
        """
        return fit(self.paper, self.tensors, str(self.path)).to(device)
