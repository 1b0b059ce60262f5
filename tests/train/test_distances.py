"""A network that answers with distances: from the recipe to the labels of files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate import inference, runs, train
from striate.data import Dataset
from striate.design import Network, Rbf, Sketch
from striate.errors import ContractError
from striate.inference import metrics
from striate.train import SGD, AdamW, CrossEntropy, DistanceLoss, Recipe


def network() -> Network:
    pen = Sketch("codes", (1, 8, 8))
    pen.conv("conv", 8, 3, padding=1)
    pen.relu("relu")
    pen.max_pool("pool", 2)
    pen.flatten()
    pen.linear("fc", 24)
    pen.put(Rbf(name="output", inputs=(pen.last,), features=10))
    return pen.finish()


def test_it_trains_evaluates_and_predicts(
    make_recipe: Callable[..., Recipe], digits: Dataset, tmp_path: Path
) -> None:
    recipe = make_recipe(
        network=network(),
        objective=DistanceLoss(),
        optimiser=AdamW(rate=0.01),
        augmentation=(),
        ema=None,
        epochs=12,
    )
    result = train.train(recipe, out=tmp_path / "run", dataset=digits)
    run = runs.open(tmp_path / "run")
    assert run.contract().output == "distances"
    assert result.test is not None and result.test.accuracy > 0.85
    evaluation = inference.evaluate(run)
    assert evaluation.test.accuracy == result.test.accuracy
    pixels = digits.parts["all"].pixels(3, run.contract())
    Image.fromarray(pixels[..., 0]).save(tmp_path / "digit.png")
    (prediction,) = inference.predict(run, [tmp_path / "digit.png"], top=10)
    assert prediction.probability == max(each.probability for each in prediction.top)
    assert sum(each.probability for each in prediction.top) == pytest.approx(1.0)


def test_the_smallest_distance_is_the_likeliest() -> None:
    distances, labels = np.array([[3.0, 1.0, 2.0], [0.0, 900.0, 9.0]]), np.array([1, 1])
    likely = metrics.probabilities(distances, "distances")
    assert likely.argmax(1).tolist() == [1, 0]
    assert likely[0] == pytest.approx(np.exp([-3, -1, -2]) / np.exp([-3, -1, -2]).sum())
    assert metrics.surprise(distances, labels, "distances")[1] == pytest.approx(900.0, rel=1e-3)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"network": network(), "objective": CrossEntropy()},
            "codes answers with distances, but the objective is cross_entropy, which takes "
            "logits: say --set objective=distance_loss",
        ),
        (
            {"objective": DistanceLoss()},
            "small answers with logits, but the objective is distance_loss, .* "
            "--set objective=cross_entropy",
        ),
    ],
)
def test_an_objective_that_takes_something_else_is_refused(
    make_recipe: Callable[..., Recipe],
    digits: Dataset,
    tmp_path: Path,
    changes: dict[str, object],
    sentence: str,
) -> None:
    recipe = make_recipe(optimiser=SGD(rate=0.1), **changes)
    with pytest.raises(ContractError, match=sentence):
        train.train(recipe, out=tmp_path / "run", dataset=digits)
    assert not (tmp_path / "run").exists()
