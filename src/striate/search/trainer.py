"""From settings to a recipe, and the shortest way from a recipe to a score.

The data is opened, split and measured once for all runs; a run writes nothing to disk. It is the
training that `striate train` makes of the same recipe, bit for bit, stopped where the search says
so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final

import numpy as np

from striate import design, progress, zoo
from striate.data import Dataset
from striate.design import Network
from striate.design.centred import centred
from striate.errors import DesignError, RecordError, StriateError, UnknownName, UsageError
from striate.records import digest, with_settings
from striate.search.slot import Outcome
from striate.search.space import Numbers, Options, Parameter, Space, Value, read
from striate.search.strength import strengthened
from striate.search.watch import Watch
from striate.train import SGD, AdamW, Recipe, Step
from striate.train.plan import make_plan, obeying
from striate.train.prepare import Prepared, check_fit, prepare
from striate.train.processes import Processes
from striate.train.training import Training
from striate.train.validation import best

ALSO_CALLED: Final = {"rate": "optimiser.rate", "decay": "optimiser.decay"}
WIDTH, DEPTH, STRENGTH, NET = "width", "depth", "augment", "net"
_USUAL: Final = {"sgd": SGD(rate=0.05, decay=5e-4), "adamw": AdamW()}  # which are tried by default
_SURE = 2.0  # standard errors above guessing
_HOLE = re.compile(r"\{(\w+)\}")
_ALWAYS_LOG = ("optimiser.rate", "optimiser.decay", WIDTH)


def holes(network: str) -> tuple[str, ...]:
    """Return the names in braces in a network's text: `convnet(widths=({w}, 64))` has w."""
    return tuple(dict.fromkeys(_HOLE.findall(network)))


def filled(network: str, values: Mapping[str, Value]) -> str:
    """Return a network's text with its holes filled."""
    return _HOLE.sub(lambda hole: str(values[hole[1]]), network)


def middle(network: str, texts: Iterable[str]) -> str:
    """Return a network's text with each hole filled by the middle of what is searched for it.

    Raises:
        UsageError: nothing is said of a hole.
    """
    said = {text.partition("=")[0].strip(): text for text in texts}
    missing = [hole for hole in holes(network) if hole not in said]
    if missing:
        raise UsageError(
            f"{network} has {{{missing[0]}}}, of which nothing is said: add "
            f"--space {missing[0]}=LOW..HIGH"
        )
    return filled(network, {hole: read(said[hole]).at(0.5) for hole in holes(network)})


class Problem:
    """What settings mean: each is a recipe.

    Args:
        recipe: that the settings change.
        network: text with holes that settings fill; None keeps the recipe's network.

    Settings are fields of the recipe (`optimiser.rate`, also `rate`; `optimiser=adamw`), `width` (a
    factor on all hidden layers), `depth` (blocks more or fewer in each stage), `augment` (a factor
    on the augmentation), `net` (whatever `--net` takes), and the holes of `network`.
    """

    def __init__(self, recipe: Recipe, network: str | None = None) -> None:
        self.base = recipe
        self.network = network if network is not None and holes(network) else None

    def space(self, texts: Iterable[str] = ()) -> Space:
        """Read what to search; what suits the recipe where nothing is said.

        Raises:
            UsageError, UnknownName, RecordError: no range, no such key, or a value that its key
                cannot have.
        """
        written = list(texts)
        if not written and self.network is None:
            return self._usual()
        parameters = [self._read(text) for text in written]
        middle(self.network or "", written)
        try:
            return Space(parameters=tuple(parameters))
        except ValueError as error:
            raise UsageError(f"--space: {error}.") from error

    def recipe(self, values: Mapping[str, Value], epochs: int | None = None) -> Recipe:
        """Return the recipe that settings mean, for so many epochs.

        Raises:
            StriateError: they mean none.
        """
        recipe, rest = self._with_network(self.base, values), dict(values)
        for key in (NET, WIDTH, DEPTH, *holes(self.network or "")):
            rest.pop(key, None)
        strength = rest.pop(STRENGTH, None)
        if strength is not None:
            changed = strengthened(recipe.augmentation, float(strength))
            recipe = recipe.replace(augmentation=changed)
        if rest.get("optimiser") == type(recipe.optimiser).__struct_config__.tag:
            del rest["optimiser"]  # with all its fields as they are
        ordered = sorted(rest, key=lambda key: "." in key)  # an optimiser before its rate
        recipe = with_settings(recipe, [f"{key}={rest[key]}" for key in ordered])
        return recipe if epochs is None else lasting(recipe, epochs)

    def allowed(self, key: str, value: Value) -> bool:
        """Say whether a value makes sense, whatever the others are."""
        if key in holes(self.network or ""):
            return float(value) >= 1
        return self._refusal(key, value) is None

    def without(self) -> tuple[str, ...]:
        """Say why width or depth are not searched where nothing is said."""
        asked = {key: self._refusal(key, 1) for key in (WIDTH, DEPTH)}
        return tuple(f"{key}, since {said}" for key, said in asked.items() if said)

    def refitted(self, space: Space) -> tuple[str, ...]:
        """Say which networks to choose from were written for another number of classes."""
        said = []
        for each in space.parameters:
            options = each.options if isinstance(each, Options) and each.key == NET else ()
            for option in map(str, options):
                with suppress(StriateError):  # what cannot be read is a failed run, with its reason
                    other = zoo.other_classes(_read_network(option, self.base.network))
                    said += [f"{option}: {other}"] if other else []
        return tuple(said)

    # --

    def _refusal(self, key: str, value: Value) -> str | None:
        """Say what speaks against one value alone."""
        try:
            Problem(self.base).recipe({key: value})
        except (StriateError, ValueError, OverflowError) as error:
            return str(error)
        return None

    def _usual(self) -> Space:
        """Rate, decay and optimiser about the recipe's own, the augmentation's strength, the size.

        Width and depth are searched where the network has any to change and begins with no weights;
        they are not extended, since larger networks take longer and are seldom worse.
        """
        own = self.base.optimiser
        tag = str(type(own).__struct_config__.tag)
        tried = {**_USUAL, tag: own}
        rates = [each.rate for each in tried.values()]
        decays = [each.decay for each in tried.values() if each.decay]
        parameters: list[Parameter] = [
            _decades("optimiser.rate", min(rates) / 10, max(rates) * 10),
            _decades("optimiser.decay", min(decays) / 10, max(decays) * 10),
            Options(key="optimiser", options=tuple(tried)),
        ]
        if self.base.augmentation:
            parameters.append(Numbers(key=STRENGTH, low=0.0, high=2.0))
        size: dict[str, Parameter] = {}
        for each in (
            Numbers(key=WIDTH, low=0.5, high=2.0, log=True, fixed=True),
            Numbers(key=DEPTH, low=0, high=1, whole=True, fixed=True),
            Numbers(key=DEPTH, low=-1, high=1, whole=True, fixed=True),
        ):
            if self.allowed(each.key, each.low) and self.allowed(each.key, each.high):
                size[each.key] = each
        parameters += size.values()
        return Space(parameters=tuple(parameters))

    def _read(self, text: str) -> Parameter:
        key, equals, body = text.partition("=")
        key = ALSO_CALLED.get(key.strip(), key.strip())
        log = True if key in _ALWAYS_LOG else None
        whole = key == DEPTH if key in (WIDTH, DEPTH, STRENGTH) else self._whole(key)
        parameter = read(f"{key}{equals}{body}", whole, log)
        if key not in (NET, *holes(self.network or "")):
            ends = (
                (parameter.low, parameter.high)
                if isinstance(parameter, Numbers)
                else parameter.options
            )
            for end in ends:
                value: Value = int(end) if whole and isinstance(end, float) else end
                self._check(key, value)
        return parameter

    def _check(self, key: str, value: Value) -> None:
        try:
            Problem(self.base).recipe({key: value})
        except UnknownName as error:
            if error.what != "setting":
                raise
            also = (*ALSO_CALLED, WIDTH, DEPTH, STRENGTH, NET)
            hint = f"Also known here: {', '.join(also)}."
            raise UnknownName("setting", error.name, error.nearest, hint) from error
        except (RecordError, DesignError) as error:
            raise UsageError(f"--space {key}: {error}") from error

    def _whole(self, key: str) -> bool | None:
        """Say whether the recipe has an integer there; None where it has nothing yet."""
        at: object = self.base
        for name in key.split("."):
            if isinstance(at, tuple) and name.isdigit() and int(name) < len(at):
                at = at[int(name)]
            else:
                at = getattr(at, name, None)
        return isinstance(at, int) if isinstance(at, int | float) else None

    def _with_network(self, recipe: Recipe, values: Mapping[str, Value]) -> Recipe:
        text = filled(self.network, values) if self.network is not None else None
        text = str(values[NET]) if NET in values else text
        network = recipe.network
        if text is not None:
            network = _read_network(text, network)
        if WIDTH in values or DEPTH in values:
            if recipe.start is not None:
                raise UsageError(
                    "The training begins with weights, whose network has the size it has: leave "
                    "width and depth out."
                )
            network = centred(network, "none")
            if WIDTH in values:
                network = design.widened(network, float(values[WIDTH]))
            network = design.deepened(network, int(values.get(DEPTH, 0)))
        if recipe.start is None:
            network = centred(network, recipe.preprocessing.whitening)
        return recipe if network is recipe.network else recipe.replace(network=network)


def lasting(recipe: Recipe, epochs: int) -> Recipe:
    """Return a recipe for a shorter or longer training, its warm-up and drops in proportion."""
    share = epochs / recipe.epochs
    schedule = recipe.schedule
    if isinstance(schedule, Step):
        schedule = schedule.replace(at=tuple(at * share for at in schedule.at))
    return recipe.replace(
        epochs=epochs, warmup_epochs=recipe.warmup_epochs * share, schedule=schedule
    )


class Trainer:
    """Makes runs, sharing what they have in common.

    Args:
        problem: what settings mean.
        together: this process; a search has no need of several for one run.
        dataset: the recipe's data, open.
    """

    def __init__(self, problem: Problem, together: Processes, dataset: Dataset) -> None:
        self.problem, self.together, self.dataset = problem, together, dataset
        self._prepared: dict[str, Prepared] = {}
        self.prepared(problem.base)  # so that unusable data is refused before the first run

    def prepared(self, recipe: Recipe) -> Prepared:
        """Return the data for a recipe, split and measured, once for all recipes that agree."""
        network = recipe.network
        shared = {
            "data": recipe.data, "preprocessing": recipe.preprocessing, "answer": network.answer,
            "objective": recipe.objective, "input": network.input_shape,
            "classes": network.classes,
        }  # fmt: skip
        key = digest(shared)
        if key not in self._prepared:
            self._prepared[key] = prepare(recipe, self.dataset)
        check_fit(recipe, self._prepared[key].contract)
        return self._prepared[key]

    def __call__(
        self, values: Mapping[str, Value], epochs: int, seed: int, watch: Watch
    ) -> Outcome:
        """Train, and score by the recipe's own validation figure."""
        recipe = self.problem.recipe(values, epochs).replace(seed=seed)
        prepared = self.prepared(recipe)
        by = recipe.choose_by
        with progress.unsaid(), obeying(make_plan(recipe, self.together)):
            training = Training(recipe, prepared, self.together)
            while training.epoch < epochs and not training.stops_early():
                for parts in training.batches():
                    watch.step(training.take_step(parts).loss)
                training.validate()
                top = best(training.validations, by)
                if top is not None:
                    watch.epoch(top.merit(by)[0], epochs)
        if top is None:
            raise RuntimeError("a training of an epoch or more is validated")
        labels = prepared.split.validation.labels
        guess = float(np.bincount(labels).max()) / len(labels)
        error = (guess * (1 - guess) / len(labels)) ** 0.5
        return Outcome(
            score=top.merit(by)[0],
            tie=top.merit(by)[1],
            blind=by == "accuracy" and top.accuracy <= guess + _SURE * error,
            details={"accuracy": top.accuracy, "loss": top.loss, "epoch": top.epoch},
        )


def _read_network(text: str, like: Network) -> Network:
    return zoo.read(text, classes=like.classes, input=tuple(like.input_shape))


def _decades(key: str, low: float, high: float) -> Numbers:
    """Return a range in log space with round ends."""
    return Numbers(key=key, low=float(f"{low:.1g}"), high=float(f"{high:.1g}"), log=True)
