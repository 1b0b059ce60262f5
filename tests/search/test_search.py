"""A search over recipes: the digits, thinned, and the winner handed to training."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest

from striate import data, recipes, train
from striate.data import Dataset
from striate.draw.figure import ADDED, ORANGE
from striate.errors import DesignError, RunError, StriateError, UnknownName, UsageError
from striate.records import from_json
from striate.search import Budget, Numbers, Problem, SearchResult, resume, search
from striate.search.ledger import without_password
from striate.search.pictures import paint
from striate.search.slot import Entry, Outcome, Slot
from striate.search.space import Space, Value
from striate.search.trainer import Trainer, lasting, middle
from striate.search.watch import Watch
from striate.train import Recipe
from striate.train.processes import processes

NET = "conv3-8 maxpool FC"


@pytest.fixture(scope="module")
def digits() -> Dataset:
    whole = data.open("digits")
    return Dataset(
        whole.name, whole.spec, whole.classes, {"all": whole.parts["all"].subset(np.arange(500))}
    )


@pytest.fixture(scope="module")
def recipe(digits: Dataset) -> Recipe:
    settings = ["epochs=4", "data.validation=0.4", "data.test=0.1", "workers=0", "ema=null"]
    return recipes.make("tiny_images", digits, network=NET, device="cpu", settings=settings)


@pytest.fixture(scope="module")
def found(
    digits: Dataset, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory
) -> SearchResult:
    return search(
        recipe,
        ["rate=1e-5..1e-3", "augment=0..1:fixed"],
        out=tmp_path_factory.mktemp("search") / "digits",
        budget=Budget(trials=12, epochs=4, seeds=2, leaders=2),
        dataset=digits,
    )


def test_a_rate_beyond_the_range_is_found_on_real_images(found: SearchResult) -> None:
    assert found.best is not None
    assert found.best.settings["optimiser.rate"] > 1e-3
    assert [each for each in found.extensions if each.key == "optimiser.rate"]
    assert found.best.mean > 0.5
    assert found.noise is not None and len(found.best.scores) == 2


def test_the_folder_has_results_pictures_and_the_winners_recipe(
    found: SearchResult, digits: Dataset
) -> None:
    folder = Path(found.study)
    again = resume(folder, dataset=digits)
    assert again == found
    assert from_json(SearchResult, (folder / "results.json").read_bytes()) == found
    for name in ("parallel", "scatter"):
        assert (folder / "figures" / f"{name}.svg").stat().st_size > 1000
        assert (folder / "figures" / f"{name}.png").stat().st_size > 1000
        drawn = (folder / "figures" / f"{name}.svg").read_text()
        first = [t for t in found.trials if t["stage"] != "seeds" and t["score"] is not None]
        assert f"{len(found.trials)} runs" in drawn and f"{len(first)} are drawn" in drawn
        assert ADDED in drawn and "Shaded: what was added" in drawn  # the rate's range


def test_both_pictures_mark_the_winner_over_seeds(tmp_path: Path) -> None:
    """Not the run of the highest score: a short one here, and a full one that seeds put second."""
    space = Space(parameters=(Numbers(key="optimiser.rate", low=1e-3, high=1.0, log=True),))

    def entry(number: int, rate: float, epochs: int, score: float) -> Entry:
        slot = Slot("full", f"{number}", epochs, 0, {"optimiser.rate": rate})
        return Entry(number, slot, "done", Outcome(score=score), "", "", "", f"{number}")

    entries = [
        entry(0, 0.5, 1, 0.95),
        entry(1, 0.1, 4, 0.90),
        entry(2, 0.01, 4, 0.88),
        entry(3, 0.01, 1, 0.60),
        entry(4, 0.002, 1, 0.40),
    ]
    won: dict[str, Value] = {"optimiser.rate": 0.01}

    def marked(won: dict[str, Value] | None, folder: Path) -> tuple[float, float]:
        """Heights of the marks, in each picture as a share of its axis of scores from 0.4."""
        paths = paint(folder, "study", space, space, entries, won)
        line = re.findall(rf'<polyline points="([^"]*)"[^>]*{ORANGE}', _text(paths["parallel"]))
        spot = re.findall(rf'<circle cx="[^"]*" cy="([^"]*)"[^>]*{ORANGE}', _text(paths["scatter"]))
        assert len(line) == 1 and len(spot) == 1
        return float(line[0].split()[-1].split(",")[1]), float(spot[0])

    of_winner, of_first = marked(won, tmp_path / "a"), marked(None, tmp_path / "b")
    assert of_winner[0] > of_first[0] and of_winner[1] > of_first[1]  # lower in both: 0.88, 0.90
    first = marked({"optimiser.rate": 0.1}, tmp_path / "c")
    assert first == of_first


def _text(path: str) -> str:
    return Path(path).read_text()


def test_training_the_winner_gives_what_the_search_saw_to_the_bit(
    found: SearchResult, digits: Dataset, tmp_path: Path
) -> None:
    assert found.recipe is not None and found.best is not None
    winner = recipes.make(found.recipe, digits)
    seen = [t for t in found.trials if t["settings"] == found.best.settings and t["epochs"] == 4]
    result = train.train(winner.replace(seed=seen[-1]["seed"]), out=tmp_path / "r", dataset=digits)
    assert result.validation is not None
    assert result.validation.accuracy == seen[-1]["accuracy"]
    assert result.validation.loss == seen[-1]["loss"]


def test_another_search_in_the_same_folder_is_refused(
    found: SearchResult, recipe: Recipe, digits: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match="is a search with another budget and space; go on with it"):
        search(recipe, ["rate=1e-6..1"], out=found.study, dataset=digits)
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(RunError, match="is no search; choose another --out"):
        search(recipe, ["rate=1e-6..1"], out=tmp_path, dataset=digits)
    with pytest.raises(RunError, match=r"is no search: it has no study\.json"):
        resume(tmp_path)


# -- what settings mean ----------------------------------------------------------------------------


def test_settings_make_a_recipe(recipe: Recipe) -> None:
    made = Problem(recipe).recipe(
        {"optimiser.rate": 0.5, "optimiser": "sgd", "width": 2.0, "augment": 0.0, "batch": 16}
    )
    assert isinstance(made.optimiser, train.SGD) and made.optimiser.rate == 0.5
    assert made.augmentation == () and made.batch == 16
    assert made.network.shapes()["conv1"][0] == 16
    same = Problem(recipe).recipe({"optimiser": "adamw"})
    assert same.optimiser == recipe.optimiser, "an optimiser that it has keeps its fields"


def test_holes_and_options_are_networks(recipe: Recipe) -> None:
    text = "conv3-{w} maxpool FC"
    problem = Problem(recipe, text)
    assert problem.recipe({"w": 12}).network.shapes()["conv1"][0] == 12
    assert middle(text, ["w=4..8"]) == "conv3-6 maxpool FC"
    with pytest.raises(UsageError, match=r"has \{w\}, of which nothing is said: add --space w="):
        problem.space(["rate=1e-3..1"])
    chosen = Problem(recipe).space(["net=conv3-8 FC,lenet"])["net"]
    assert Problem(recipe).recipe({"net": "conv3-8 FC"}).network.classes == 10
    assert chosen.at(0.9) == "lenet"


def test_a_default_space_lies_about_the_recipe(recipe: Recipe) -> None:
    space = Problem(recipe).space()
    rate, width = space["optimiser.rate"], space["width"]
    assert space.keys == ("optimiser.rate", "optimiser.decay", "optimiser", "augment", "width")
    assert isinstance(rate, Numbers) and rate.log
    assert rate.low < recipe.optimiser.rate < 0.05 < rate.high, "of AdamW and of SGD"
    assert isinstance(width, Numbers) and width.fixed and width.log
    assert recipe.optimiser == Problem(recipe).recipe({"optimiser": "adamw"}).optimiser
    (why,) = Problem(recipe).without()
    assert why.startswith("depth, since notation has no depth to change")
    assert not Problem(recipe).allowed("augment", -0.5)
    assert not Problem(recipe).allowed("optimiser.rate", -0.5)
    assert Problem(recipe).allowed("optimiser.rate", 7.0)


@pytest.mark.parametrize(
    ("network", "depth", "blocks"),
    [
        ("resnet20(width=4)", (-1, 1), [2, 4]),
        ("convnet(widths=(4,4), depths=(1,1))", (0, 1), [1, 2]),
    ],
)
def test_width_and_depth_are_searched_where_a_network_has_them(
    recipe: Recipe, digits: Dataset, network: str, depth: tuple[int, int], blocks: list[int]
) -> None:
    problem = Problem(recipes.make("tiny_images", digits, network=network, device="cpu"))
    found = problem.space()["depth"]
    assert isinstance(found, Numbers) and found.whole and found.fixed
    assert (found.low, found.high) == depth and problem.without() == ()
    for more, count in zip(depth, blocks, strict=True):
        made = problem.recipe({"depth": more, "width": 2.0}).network
        names = {layer.name.split(".")[-2] for layer in made.layers if "1." in layer.name}
        assert len({each for each in names if each.isdecimal()}) == count
        assert made.parameter_count() > problem.base.network.parameter_count()


def test_a_training_that_begins_with_weights_keeps_its_size(recipe: Recipe) -> None:
    begun = Problem(recipe.replace(start=train.Start(path="some.run", identity="")))
    assert {"width", "depth"}.isdisjoint(begun.space().keys)
    assert all("begins with weights" in each for each in begun.without())


def test_what_cannot_be_searched_is_said_at_once(recipe: Recipe) -> None:
    problem = Problem(recipe)
    with pytest.raises(UnknownName, match=r"optimiser\.momentum|momentum"):
        problem.space(["optimiser.momentum=0..0.9"])
    with pytest.raises(UsageError, match="batch takes integers"):
        problem.space(["batch=1.5..64"])
    with pytest.raises(UsageError, match=r"optimiser\.rate.*above 0"):
        problem.space(["rate=0..1"])
    with pytest.raises(StriateError, match="optimiser named 'adamm'"):
        problem.space(["optimiser=sgd,adamm"])


def test_a_shorter_training_is_the_same_in_proportion(recipe: Recipe) -> None:
    long = recipe.replace(epochs=90, warmup_epochs=9.0, schedule=train.Step(at=(30.0, 60.0)))
    short = lasting(long, 9)
    assert (short.epochs, short.warmup_epochs) == (9, pytest.approx(0.9))
    assert short.schedule == train.Step(at=(3.0, 6.0))


def test_runs_no_better_than_guessing_are_told_apart_by_their_loss(
    recipe: Recipe, digits: Dataset
) -> None:
    with processes("cpu") as together:
        trainer = Trainer(Problem(recipe), together, digits)
        slow, slower = (trainer({"optimiser.rate": r}, 1, 0, Watch()) for r in (1e-4, 1e-7))
    assert slow.blind and slower.blind
    assert slow.tie > slower.tie


def test_data_is_measured_once_for_all_runs(
    recipe: Recipe, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    with processes("cpu") as together:
        trainer = Trainer(Problem(recipe), together, digits)
        monkeypatch.setattr("striate.search.trainer.prepare", None)
        for rate in (1e-3, 1e-2):
            outcome = trainer({"optimiser.rate": rate, "width": 0.5}, 1, 0, Watch())
            assert outcome.score is not None and math.isfinite(outcome.score)


def test_a_network_that_does_not_fit_is_a_failed_run(recipe: Recipe, digits: Dataset) -> None:
    with processes("cpu") as together:
        trainer = Trainer(Problem(recipe), together, digits)
        with pytest.raises(DesignError):
            trainer({"net": "vgg16"}, 1, 0, Watch())


def test_a_password_is_not_written_down() -> None:
    assert without_password("postgresql://me:secret@host/db") == "postgresql://me@host/db"
    assert without_password("study.db") == "study.db"
