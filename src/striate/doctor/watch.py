"""The doctor beside somebody's own loop: told one step at a time, by `train`'s probes and rules.

What is watched leaves an ordinary run folder, so that `striate doctor`, `history` and `view` need
to know nothing of it. What is given up: no weights and no preparation of images are in it, so there
is nothing to resume, replay or predict with.
"""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from striate import runs
from striate.contract import Class
from striate.doctor.around import Around, held, leading, rateless
from striate.doctor.diagnose import diagnose_story
from striate.doctor.live import Live
from striate.doctor.own_loop import on_paper, one_each, one_number
from striate.doctor.story import Finding, read
from striate.doctor.unregistered import unregistered
from striate.errors import RunError, StriateError, UsageError
from striate.layers import build
from striate.ops import environment, load_per_core
from striate.runs.run import State
from striate.train import Objective, Recipe
from striate.train.plan import make_plan
from striate.train.probes import ACTIVATIONS, ROWS, Probes, beginning, looked_at
from striate.train.processes import Processes


class _Step(NamedTuple):
    """A step that is not written down yet; its figures may still be computed elsewhere."""

    number: int
    time: float
    rate: float
    loss: Tensor
    norms: Sequence[Tensor]


class Watch:
    """Watches a training loop that is not striate's, and writes a run folder of it.

    It reads and changes nothing: the loop ends at the weights, bit for bit, that it ends at
    unwatched. A network is described on paper first, so rectifiers are seen also where they are
    functional or used twice. Leave it as a context, or by `close`.

    Args:
        module: what is trained, and what the loop calls.
        optimiser: torch's, as the loop steps it; of its groups the largest rate is written down.
        folder: of the run; made.
        images: a batch as the module takes it, (batch, channels, height, width); only its shape is
            read.
        steps: of the optimiser in an epoch.
        epochs: that there will be.
        objective: what the loop's loss is, where not cross-entropy, whose units rules know.
        begun: whether the module holds trained weights already.
        told: called with each finding as soon as its rule speaks, once; `print` says it in words.
        overwrite: take the place of a run that is there.

    Attributes:
        run: the folder, open.
        done: steps so far.

    Raises:
        UsageError: images that are no tensor of a batch, or numbers below 1.
        DesignError: the module does not take these images.
        RunError: there is a run in the folder already.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
        >>> optimiser = torch.optim.SGD(net.parameters(), lr=0.0)  # that will not do
        >>> images, labels = torch.ones(30, 1, 4, 4), torch.arange(30) % 3
        >>> with TemporaryDirectory() as parent, Watch(
        ...     net, optimiser, f"{parent}/mine", images=images, steps=1, epochs=40
        ... ) as watch:
        ...     for _ in range(40):
        ...         loss = nn.functional.cross_entropy(net(images), labels)
        ...         optimiser.zero_grad()
        ...         loss.backward()
        ...         optimiser.step()
        ...         watch.step(loss)
        ...     watch.findings()[0].finding
        'weights_stand_still'
    """

    def __init__(
        self,
        module: nn.Module,
        optimiser: torch.optim.Optimizer,
        folder: Path | str,
        *,
        images: Tensor,
        steps: int,
        epochs: int,
        objective: Objective | None = None,
        begun: bool = False,
        told: Callable[[Finding], object] = lambda finding: None,
        overwrite: bool = False,
    ) -> None:
        for name, value in (("steps", steps), ("epochs", epochs)):
            if value < 1:
                raise UsageError(f"Expected {name} of at least 1, received {name}={value}.")
        self.module, self.optimiser = module, optimiser
        self._parameters = held(optimiser, module)
        self.steps, self.epochs, self.done = steps, epochs, 0
        recipe = on_paper(module, optimiser, folder, images, epochs, objective, begun)
        self._renamed = {there: here for here, there in recipe.network.renamed}
        self._net = self._shown(recipe)
        trained = self._trained()
        self._probes = Probes(self._net, trained)
        self._around = Around(optimiser, list(trained.values()))
        self.run = self._create(Path(folder), recipe, overwrite)
        self._live = Live(folder, told)
        self._images: Tensor | None = None  # the first rows of the batch that is looked at
        self._taken: list[_Step] = []
        self._labels: list[Tensor] = []
        self._modes = set[bool]()  # whether the module was training, at calls since the last step
        self._ended = False  # a story ends at a step that is not finite
        self._stack = ExitStack()
        self._stack.enter_context(self.run.lock())
        self._stack.callback(self._around.close)
        self._stack.callback(module.register_forward_pre_hook(self._begins).remove)

    # -- what a loop calls

    def step(self, loss: Tensor | float, labels: Tensor | None = None) -> None:
        """Note a step: call it after `optimiser.step()`, before gradients are cleared.

        Args:
            loss: of the batch, before the update.
            labels: of the batch, (n,); with them the order of the images is watched too.

        Raises:
            UsageError: the module was not called, or these are no loss and no labels of a batch.
        """
        if self._ended:
            return
        value = one_number(loss)
        if not self.done:
            self._refuse_what_cannot_be_seen()
        gradients = [each.grad for each in self._parameters if each.grad is not None]
        self.done += 1
        rate = float(leading(self.optimiser)["lr"])
        norms = torch._foreach_norm(gradients) if gradients else ()
        self._taken.append(_Step(self.done, time.time(), rate, value, norms))
        self._labels += [] if labels is None else [one_each(labels)]
        self._look()
        mode, self._modes = _mode(self._modes), set()
        said = self._around.note()
        if seen := self._probes.seen():
            self._settle()
            said |= self._beside(seen)
            self._note({"kind": "probe", "probe": "layers", **mode, **said, **seen})
        if looked_at(self.done + 1):
            self._probes.follow(self._trained())  # groups may have been added
            self._around.arm()
        if self.done % self.steps == 0:
            self._end_epoch()

    def validation(self, loss: float, accuracy: float, images: int) -> None:
        """Note what a validation found.

        Args:
            loss: mean over its images.
            accuracy: 0 to 1.
            images: how many there were.

        Raises:
            UsageError: an accuracy that is no share, or of no images.
        """
        if images < 1:
            raise UsageError(
                f"Expected a validation of at least 1 image, received images={images}. Give the "
                "number of images that loss and accuracy are means over."
            )
        if not 0 <= accuracy <= 1:
            raise UsageError(
                f"Expected the share of images that are right, 0 to 1, received accuracy={accuracy}"
                ". Divide per cent by 100, and a count by the number of images."
            )
        self._settle()
        checks = self.run.history("validation")
        best = all(accuracy > each["accuracy"] for each in checks)
        figures = {"loss": float(loss), "accuracy": float(accuracy), "images": images}
        mode, self._modes = _mode(self._modes), set()
        self._note({"kind": "validation", **figures, **mode, "best": best})

    def findings(self) -> tuple[Finding, ...]:
        """Return what seems wrong so far, causes first; nothing where nothing does."""
        self._settle()
        ended = self._ended or self.done >= self.steps * self.epochs
        return diagnose_story(read(self.run), live=not ended)

    def close(self, state: State = "finished") -> None:
        """Take the watch off the module, and leave the folder for others."""
        self._settle()
        self._probes.leave()
        with self._stack:
            if self.run.info.state == "running":
                self.run.set_state(state)

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        ended = kind is not None and issubclass(kind, KeyboardInterrupt | SystemExit)
        self.close("finished" if kind is None else "interrupted" if ended else "failed")

    # -- what is looked at

    def _shown(self, recipe: Recipe) -> nn.Module:
        """Return whatever shows every activation: the module, or a Net with its own tensors.

        The module has to do where no Net can be built.
        """
        try:
            net = build(recipe.network, parameters=self.module)
        except StriateError:
            return self.module
        functional = _activations(net) != _activations(self.module)
        return net if functional or recipe.network.renamed else self.module

    def _trained(self) -> dict[str, Tensor]:
        """Return the parameters that the optimiser holds, by their names on paper."""
        known = {id(each) for group in self.optimiser.param_groups for each in group["params"]}
        names = self._renamed if self._net is self.module else {}
        every = self._net.named_parameters()
        return {names.get(name, name): each for name, each in every if id(each) in known}

    def _begins(self, module: nn.Module, given: tuple[Any, ...]) -> None:
        """Begin a step at the first call of the module that gradients will flow through."""
        self._modes.add(module.training)
        if self._images is None and torch.is_grad_enabled() and not self._ended:
            images = next((each for each in given if isinstance(each, Tensor)), torch.zeros(0))
            self._images = images.detach()[:ROWS]
            self._probes.begin(self.done + 1)

    def _look(self) -> None:
        """Look at the step just taken, if it is one that is looked at."""
        if self._images is None:  # the module was not called
            return
        if self._probes.looking and self._net is not self.module:
            self._show(self._images)
        self._probes.end()
        self._images = None

    def _show(self, images: Tensor) -> None:
        """Run the Net, which is in training mode; statistics and generators stay as found."""
        kept = [(each, each.clone()) for each in self._net.buffers()]
        devices = [images.device] if images.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), torch.no_grad():
            try:
                self._net(images)
            except Exception:  # any: what is watched must not end by it
                self._probes.net = self._net = self.module
            finally:
                for buffer, value in kept:
                    buffer.copy_(value)

    def _beside(self, seen: dict[str, Any]) -> dict[str, Any]:
        """Return what a probe shows beside layers; what no rate moves has no gradient, as frozen.

        The first has the layers that are kept where PyTorch does not see them.
        """
        said: dict[str, Any] = {}
        if still := rateless(self.optimiser, self._probes.weights):
            said["rateless"] = still
            for name in still:
                seen["weights"][name]["gradient"] = None
        if self.done == 1:
            known = {id(each) for group in self.optimiser.param_groups for each in group["params"]}
            said["unregistered"] = [
                name
                for name, each in unregistered(self.module).items()
                if each.grad is not None and id(each) not in known
            ]
        if (cut := self._around.cut()) is not None:
            said["cut"] = cut
        return said

    def _refuse_what_cannot_be_seen(self) -> None:
        if self._images is None:
            self.close("failed")
            raise UsageError(
                "Expected a call of the watched module before each step, received none. Give "
                "Watch the module that the loop calls (what torch.compile returns calls another)."
            )

    # -- what is written down

    def _create(self, folder: Path, recipe: Recipe, overwrite: bool) -> runs.Run:
        nothing = {"ids": (), "hashes": ()}
        parts = {part: nothing for part in ("train", "validation", "test")}
        device = next(self.module.parameters(), torch.zeros(())).device
        classes = tuple(Class(id=str(k), label=str(k)) for k in range(recipe.network.classes))
        channels = recipe.preprocessing.channel_count
        contract = recipe.preprocessing.contract(classes, (0.0,) * channels, (1.0,) * channels)
        try:
            return runs.create(
                folder,
                network=recipe.network,
                contract=contract,
                recipe=recipe,
                data={"name": runs.OWN_LOOP, "spec": "", "notes": (), "steps": self.steps, **parts},
                env=environment(),
                plan=make_plan(recipe, Processes(0, 1, device)),
                overwrite=overwrite,
            )
        except RunError as error:  # in words of the command line
            said = str(error).replace("another --out", "another folder")
            raise RunError(said.replace("--overwrite", "overwrite=True")) from None

    def _settle(self) -> None:
        """Write down the steps since the last time.

        Twenty at a time: what is done a step at a time costs a small network's loop several times
        as much, and makes it wait for a graphics card.
        """
        taken, self._taken = self._taken, []
        for each in taken:
            value, *lengths = torch.stack([each.loss.to(_device(each)), *each.norms]).tolist()
            norm = math.hypot(*lengths)
            if not (math.isfinite(value) and math.isfinite(norm)):
                self.done = each.number - 1
                self._break_off(value, norm)
                return
            line = {"step": each.number, "time": round(each.time, 3), "kind": "step"}
            epoch = -(-each.number // self.steps)
            figures = {"loss": value, "rate": each.rate, "gradient_norm": norm}
            self._note({**line, "epoch": epoch, **figures})

    def _note(self, entry: dict[str, Any]) -> None:
        if self._ended and entry["kind"] != "event":
            return
        line = {"step": self.done, "epoch": -(-self.done // self.steps), **entry}
        self.run.append(line)
        self._live.see(line, self._net)

    def _end_epoch(self) -> None:
        """Note how long the loop waited for images, and in which order they came."""
        self._settle()
        waited, self._probes.waited = self._probes.waited, 0.0
        kept_up = {"waited": waited, "load": load_per_core(), "augmenting": 0.0, "text": ""}
        self._note({"kind": "pace", **kept_up})
        if self._labels:
            order = torch.cat([each.flatten() for each in self._labels]).cpu().numpy()
            first = np.arange(len(self._labels[0].flatten()))
            digest = zlib.crc32(order.tobytes())  # of all: a batch's labels may be alike by chance
            self._note({**beginning(order, first), "digest": digest})
            self._labels = []

    def _break_off(self, loss: float, norm: float) -> None:
        what = "gradient" if math.isfinite(loss) else "loss"
        at = self.done + 1
        text = f"Step {at}: the {what} is not finite (loss {loss:g}, gradient norm {norm:g})."
        self._ended = True
        self._probes.leave()
        self._note(
            {"kind": "event", "event": "not finite", "at": at, "layer": f"the {what}", "text": text}
        )


def _device(step: _Step) -> torch.device | None:
    return step.norms[0].device if step.norms else None


def _activations(module: nn.Module) -> set[str]:
    return {name for name, each in module.named_modules() if isinstance(each, ACTIVATIONS)}


def _mode(training: set[bool]) -> dict[str, str]:
    """Return the mode of some calls of a module as its entry in a line; none where it varied."""
    names = {True: "training", False: "evaluation"}
    return {"mode": names[next(iter(training))]} if len(training) == 1 else {}
