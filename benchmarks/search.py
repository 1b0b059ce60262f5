"""Our search against Optuna's default sampler alone, on Fashion-MNIST, with equal budgets.

Both search the same four settings of the same recipe and may train for the same number of epochs in
all; what ours spends on short runs, extensions and further seeds is in its budget. Optuna's sampler
(TPE) makes full runs, as it does by default. Then the settings each one chose are trained anew with
seeds that neither has seen, and compared on test images that neither has seen. The images are
thinned, so that a run takes seconds.

    python benchmarks/search.py [--json] [--quick] [--repetitions 5] [--state FOLDER]

Stopped at any moment it goes on where it was: every run is in the state's folder.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import platform
import statistics
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from striate import data, inference, recipes
from striate.data import Dataset
from striate.ops import environment, machine
from striate.records import to_builtins
from striate.search import Budget, Ledger, Problem, Stop, Watch, explore, summed_up
from striate.search.slot import Entry
from striate.search.trainer import Trainer
from striate.train.processes import Processes, processes
from striate.train.training import Training
from striate.train.validation import best

SPACE = ("rate=1e-5..1", "decay=1e-6..1", "augment=0..2", "optimiser=sgd,adamw")
NETWORK = "conv5-8 maxpool conv5-16 maxpool FC"
TRAINING, TEST, EPOCHS, TRIALS = 2500, 4000, 9, 24
FINAL_SEEDS = (1000, 1001, 1002)
T_95 = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 9: 2.26}


class Patient(Watch):
    """Never stops a run, but for a cost that is not finite."""

    def step(self, cost: float) -> None:
        """Look at the cost of a step."""
        if not math.isfinite(cost):
            raise Stop("the cost is not finite")

    def epoch(self, score: float, of: int) -> None:
        """Look away."""


def thinned(count: int, test: int) -> Dataset:
    """Return Fashion-MNIST with its first training and test images only."""
    whole = data.open("fashion_mnist")
    parts = {
        "train": whole.parts["train"].subset(np.arange(count)),
        "test": whole.parts["test"].subset(np.arange(test)),
    }
    return Dataset(whole.name, whole.spec, whole.classes, parts)


def problem_for(dataset: Dataset, epochs: int) -> Problem:
    """Return what both search: the default recipe on a small network."""
    settings = [f"epochs={epochs}", "batch=64", "data.validation=0.4", "workers=1", "ema=null"]
    return Problem(
        recipes.make("small_images", dataset, network=NETWORK, device="cpu", settings=settings)
    )


def spent(entries: list[Entry]) -> int:
    """Return the epochs that runs took; one that was stopped within an epoch took it all."""
    return sum(
        each.slot.epochs
        if each.state == "done"
        else min(len(each.outcome.curve) + 1, each.slot.epochs)
        for each in entries
        if each.outcome is not None
    )


def ours(trainer: Trainer, folder: Path, seed: int, budget: Budget) -> tuple[dict[str, Any], int]:
    """Search our way; return the settings chosen and the epochs taken."""
    space = trainer.problem.space(SPACE)
    ledger = Ledger(str(folder / "ours.db"), f"ours {seed}", {"seed": seed})
    found = explore(trainer, space, budget, ledger, allowed=trainer.problem.allowed)
    won = summed_up("", space, found.space, found.entries, found.ended).best
    if won is None:
        raise RuntimeError("no run gave a score")
    return won.settings, spent(found.entries)


def theirs(
    trainer: Trainer, folder: Path, seed: int, epochs: int, spent: int
) -> tuple[dict[str, Any], int]:
    """Let Optuna's default sampler search; return the settings chosen and the epochs taken."""
    trials = -(-spent // epochs)
    study = optuna.create_study(
        storage=f"sqlite:///{folder / 'optuna.db'}",
        study_name=f"optuna {seed}",
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed),
        load_if_exists=True,
    )

    def objective(trial: optuna.Trial) -> float:
        values = {
            "optimiser.rate": trial.suggest_float("optimiser.rate", 1e-5, 1, log=True),
            "optimiser.decay": trial.suggest_float("optimiser.decay", 1e-6, 1, log=True),
            "augment": trial.suggest_float("augment", 0, 2),
            "optimiser": trial.suggest_categorical("optimiser", ["sgd", "adamw"]),
        }
        try:
            return trainer(values, epochs, seed, Patient()).score or 0.0
        except Exception as error:  # a run that blows up is the worst
            print(f"optuna: {error}", file=sys.stderr)
            return 0.0

    done = len([each for each in study.trials if each.state.is_finished()])
    if trials > done:
        study.optimize(objective, n_trials=trials - done)
    return study.best_params, trials * epochs


def tested(trainer: Trainer, together: Processes, values: Mapping[str, Any], epochs: int) -> float:
    """Train settings with fresh seeds and return the mean accuracy on the test part.

    The weights are those of the best epoch on the validation part, as `train` keeps them.
    """
    found = []
    for seed in FINAL_SEEDS:
        recipe = trainer.problem.recipe(values, epochs).replace(seed=seed)
        prepared = trainer.prepared(recipe)
        training = Training(recipe, prepared, together)
        kept: dict[str, Any] = {}
        while training.epoch < epochs:
            for parts in training.batches():
                training.take_step(parts)
            training.validate()
            if best(training.validations, recipe.choose_by) is training.validations[-1]:
                kept = copy.deepcopy(training.net_to_keep.state_dict())
        training.net_to_keep.load_state_dict(kept)
        loader = data.Loader(
            prepared.split.test, prepared.contract, batch=256, seed=0, shuffle=False
        )
        outcome = inference.measure(
            training.net_to_keep,
            loader.epoch(0),
            device=together.device,
            meaning=prepared.contract.output,
            what="testing",
        )
        found.append(outcome.accuracy)
    return statistics.mean(found)


def repetition(
    trainer: Trainer, together: Processes, folder: Path, seed: int, budget: Budget
) -> dict[str, Any]:
    """Search both ways with one seed, or read what was found before."""
    place = folder / f"repetition_{seed}.json"
    if place.exists():
        return dict(json.loads(place.read_text()))
    mine, spent = ours(trainer, folder, seed, budget)
    peer, taken = theirs(trainer, folder, seed, budget.epochs, spent)
    row = {
        "seed": seed,
        "ours": tested(trainer, together, mine, budget.epochs),
        "optuna": tested(trainer, together, peer, budget.epochs),
        "ours_epochs": spent,
        "optuna_epochs": taken,
        "ours_settings": mine,
        "optuna_settings": peer,
    }
    place.write_text(json.dumps(row))
    return row


def document(rows: list[dict[str, Any]], quick: bool) -> dict[str, Any]:
    """Return the result in the benchmarks' own form."""
    mine = [row["ours"] for row in rows]
    peer = [row["optuna"] for row in rows]
    gains = [a - b for a, b in zip(mine, peer, strict=True)]
    mean = statistics.mean(gains)
    half = (
        T_95.get(len(gains) - 1, 2.0) * statistics.stdev(gains) / math.sqrt(len(gains))
        if len(gains) > 1
        else math.inf
    )
    error = (1 - statistics.mean(peer)) / (1 - statistics.mean(mine))
    return {
        "claim": "with equal budgets at least as good as Optuna's default sampler alone",
        "conditions": {
            "data": f"fashion_mnist, {TRAINING} images to train and choose by, {TEST} test images",
            "network": NETWORK,
            "space": SPACE,
            "quick": quick,
            "cpu": machine().cpu,
            "python": platform.python_version(),
            "optuna": optuna.__version__,
            "packages": to_builtins(environment())["packages"],
        },
        "rows": [
            {
                "name": "fashion_mnist_search",
                "unit": "test accuracy of the settings chosen, trained anew with other seeds",
                "ours": statistics.mean(mine),
                "peers": {"optuna_tpe": statistics.mean(peer)},
                "best_peer": "optuna_tpe",
                "ratio": error,
                "interval": None if math.isinf(half) else [mean - half, mean + half],
                "interval_of": "the mean difference of accuracies, 95%, paired by repetition",
                "repetitions": rows,
            }
        ],
    }


def main() -> None:
    """Repeat both searches and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="one small repetition")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--state", type=Path, default=None)
    chosen = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    usual = Path(tempfile.gettempdir()) / f"striate_search_benchmark{'_quick' * chosen.quick}"
    folder = chosen.state or usual
    folder.mkdir(parents=True, exist_ok=True)
    count, test = (600, 500) if chosen.quick else (TRAINING, TEST)
    epochs, trials = (3, 6) if chosen.quick else (EPOCHS, TRIALS)
    dataset = thinned(count, test)
    rows = []
    with processes("cpu") as together:
        trainer = Trainer(problem_for(dataset, epochs), together, dataset)
        for seed in range(1 if chosen.quick else chosen.repetitions):
            budget = Budget(epochs=epochs, trials=trials, seeds=1, leaders=3, seed=seed)
            rows.append(repetition(trainer, together, folder, seed, budget))
            print(
                f"repetition {seed}: ours {rows[-1]['ours']:.4f} in {rows[-1]['ours_epochs']} "
                f"epochs, Optuna {rows[-1]['optuna']:.4f} in {rows[-1]['optuna_epochs']}",
                file=sys.stderr,
                flush=True,
            )
    found = document(rows, chosen.quick)
    row = found["rows"][0]
    print(
        json.dumps(found, indent=2)
        if chosen.json
        else f"ours {row['ours']:.4f}, Optuna {row['peers']['optuna_tpe']:.4f}, difference "
        f"{row['interval']}"
    )


if __name__ == "__main__":
    main()
