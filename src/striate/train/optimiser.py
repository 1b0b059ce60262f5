"""The optimisers: records in a recipe that make torch's own, with groups read off the network.

A parameter's learning rate and weight decay are the optimiser's times the multipliers on its record
(Caffe's lr_mult and decay_mult). Decay spares biases and the parameters of normalisation unless the
recipe says otherwise. Saved state goes by parameter name, never by position.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from striate.design import Network
from striate.errors import DesignError
from striate.records import Family, expect


class Optimiser(Family, frozen=True, kw_only=True):
    """How a gradient becomes an update.

    Args:
        rate: the learning rate that the schedule's factor multiplies.
        decay: weight decay.
    """

    family: ClassVar[str] = "optimiser"

    rate: float
    decay: float = 0.0

    def __post_init__(self) -> None:
        expect(self.rate > 0, "a rate above 0", rate=self.rate)
        expect(self.decay >= 0, "a decay of at least 0", decay=self.decay)

    @property
    def name(self) -> str:
        """What the forecast of memory calls it."""
        return str(type(self).__struct_config__.tag)

    def build(self, groups: list[dict[str, Any]], fused: bool) -> torch.optim.Optimizer:
        """Return torch's optimiser over parameter groups that carry their own decay."""
        raise NotImplementedError("left to each kind of optimiser")


class SGD(Optimiser, frozen=True, kw_only=True):
    """Stochastic gradient descent: v = momentum v + g + decay w; w = w - rate v.

    Args:
        momentum: how much of the last update is kept.
        nesterov: step along g + momentum v instead.

    Source: Sutskever et al., ICML 2013, in torch's form (the rate multiplies the whole velocity).
    """

    rate: float = 0.1
    momentum: float = 0.9
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        expect(0 <= self.momentum < 1, "0 <= momentum < 1", momentum=self.momentum)
        positive = self.momentum > 0 or not self.nesterov
        expect(positive, "a positive momentum with nesterov", momentum=self.momentum)

    @property
    def name(self) -> str:
        """Without momentum nothing is kept."""
        return "sgd" if self.momentum else "sgd_plain"

    def build(self, groups: list[dict[str, Any]], fused: bool) -> torch.optim.Optimizer:
        """Return torch.optim.SGD."""
        return torch.optim.SGD(
            groups, lr=self.rate, momentum=self.momentum, nesterov=self.nesterov, fused=fused
        )


class Adam(Optimiser, frozen=True, kw_only=True):
    """Adam; decay is added to the gradient (L2), as in the paper.

    Source: Kingma and Ba, ICLR 2015, algorithm 1.
    """

    rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_moments(self.betas, self.epsilon)

    def build(self, groups: list[dict[str, Any]], fused: bool) -> torch.optim.Optimizer:
        """Return torch.optim.Adam."""
        return torch.optim.Adam(
            groups, lr=self.rate, betas=self.betas, eps=self.epsilon, fused=fused
        )


class AdamW(Optimiser, frozen=True, kw_only=True, tag="adamw"):
    """Adam with decay apart from the gradient: w = w - rate decay w.

    Source: Loshchilov and Hutter, "Decoupled weight decay", ICLR 2019, algorithm 2.
    """

    rate: float = 1e-3
    decay: float = 1e-2
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_moments(self.betas, self.epsilon)

    def build(self, groups: list[dict[str, Any]], fused: bool) -> torch.optim.Optimizer:
        """Return torch.optim.AdamW."""
        return torch.optim.AdamW(
            groups, lr=self.rate, betas=self.betas, eps=self.epsilon, fused=fused
        )


class AdaGrad(Optimiser, frozen=True, kw_only=True, tag="adagrad"):
    """Each weight's own rate: w = w - rate g / (sqrt(sum of g^2 so far) + epsilon).

    The sum only grows, so the rate falls for good; decay is added to the gradient.

    Source: Duchi, Hazan and Singer, JMLR 12 (2011), with a diagonal matrix.
    """

    rate: float = 1e-2
    epsilon: float = 1e-10

    def __post_init__(self) -> None:
        super().__post_init__()
        expect(self.epsilon > 0, "an epsilon above 0", epsilon=self.epsilon)

    def build(self, groups: list[dict[str, Any]], fused: bool) -> torch.optim.Optimizer:
        """Return torch.optim.Adagrad."""
        return torch.optim.Adagrad(groups, lr=self.rate, eps=self.epsilon)


class RMSProp(Optimiser, frozen=True, kw_only=True, tag="rmsprop"):
    """AdaGrad that forgets: s = smoothing s + (1 - smoothing) g^2; w = w - rate g / (sqrt s + eps).

    Args:
        smoothing: how much of the mean square is kept at each step.
        momentum: how much of the last update is kept.
        epsilon: added to the root.

    Source: Tieleman and Hinton, Coursera lecture 6.5, 2012; decay is added to the gradient.
    """

    rate: float = 1e-3
    smoothing: float = 0.99
    momentum: float = 0.0
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        expect(0 <= self.smoothing < 1, "0 <= smoothing < 1", smoothing=self.smoothing)
        expect(0 <= self.momentum < 1, "0 <= momentum < 1", momentum=self.momentum)
        expect(self.epsilon > 0, "an epsilon above 0", epsilon=self.epsilon)

    @property
    def name(self) -> str:
        """Momentum keeps a second number."""
        return "rmsprop_momentum" if self.momentum else "rmsprop"

    def build(self, groups: list[dict[str, Any]], fused: bool) -> torch.optim.Optimizer:
        """Return torch.optim.RMSprop."""
        return torch.optim.RMSprop(
            groups, lr=self.rate, alpha=self.smoothing, eps=self.epsilon, momentum=self.momentum
        )


def _check_moments(betas: tuple[float, float], epsilon: float) -> None:
    expect(all(0 <= beta < 1 for beta in betas), "betas from 0 to below 1", betas=betas)
    expect(epsilon > 0, "an epsilon above 0", epsilon=epsilon)


def check_trainable(network: Network) -> None:
    """Refuse a network in which there is nothing to train.

    Raises:
        DesignError: it has no parameters, or all of them are frozen.
    """
    parameters = network.parameters()
    if any(parameter.trainable for parameter in parameters):
        return
    frozen = f"{len(parameters)}, all of them frozen" if parameters else "none"
    raise DesignError(
        f"Expected a network with parameters to train, {network.name} has {frozen}",
        fixes=("let some layer train",)
        if parameters
        else (f"end it with a layer that learns, such as FC-{network.classes}",),
    )


class Stepper:
    """A torch optimiser whose parameters go by their names in the network.

    Args:
        record: which optimiser.
        network: says which parameters are trained, their roles and multipliers.
        net: the module that holds them; parameters that are not trained get no gradient.
        decay_norms_and_biases: whether decay spares no parameter.

    Raises:
        DesignError: there is nothing to train.
    """

    def __init__(
        self, record: Optimiser, network: Network, net: nn.Module, decay_norms_and_biases: bool
    ) -> None:
        check_trainable(network)
        self.record = record
        tensors = dict(net.named_parameters())
        self.parameters: dict[str, nn.Parameter] = {}
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for parameter in network.parameters():
            tensor = tensors[parameter.name]
            tensor.requires_grad_(parameter.trainable)
            if not parameter.trainable:
                continue
            decayed = decay_norms_and_biases or parameter.role == "weight"
            decay = record.decay * parameter.decay if decayed else 0.0
            groups.setdefault((parameter.rate, decay), []).append(tensor)
            self.parameters[parameter.name] = tensor
        self._name = {id(tensor): name for name, tensor in self.parameters.items()}
        fused = all(tensor.dtype == torch.float32 for tensor in self.parameters.values())
        self.torch = record.build(
            [
                {"params": members, "weight_decay": decay, "multiplier": multiplier}
                for (multiplier, decay), members in groups.items()
            ],
            fused,
        )

    def set_rate(self, factor: float) -> float:
        """Set every group's learning rate, and return the one without multipliers."""
        rate = self.record.rate * factor
        for group in self.torch.param_groups:
            group["lr"] = rate * group["multiplier"]
        return rate

    def state(self) -> dict[str, Tensor]:
        """Return the state as tensors named PARAMETER/KEY; a parameter never stepped has none."""
        return {
            f"{self._name[id(parameter)]}/{key}": value
            for parameter, values in self.torch.state.items()
            for key, value in values.items()
            if isinstance(value, Tensor)
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take up a state that `state` returned, in each parameter's own memory layout."""
        self.torch.state.clear()
        fused = self.torch.defaults.get("fused")
        for address, value in state.items():
            name, _, key = address.rpartition("/")
            parameter = self.parameters[name]
            like = parameter if value.shape == parameter.shape else value
            on = "cpu" if key == "step" and not fused else parameter.device
            kept = torch.empty_like(like, dtype=value.dtype, device=on, requires_grad=False)
            self.torch.state[parameter][key] = kept.copy_(value)
