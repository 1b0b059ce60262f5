"""Labels that a network doubts, and its accuracy without what leaked."""

from __future__ import annotations

import json

import numpy as np
import pytest

from striate import data, inference, runs
from striate.cli.main import main
from striate.contract import Class
from striate.errors import UsageError
from striate.inference.doubt import as_finding, suspects, wrong_labels

CLASSES = tuple(Class(id=each, label=each) for each in "abcde")


def answers(images: int, lead: float) -> tuple[np.random.Generator, np.ndarray, np.ndarray]:
    """Draw a network's: the generator, true classes (images,), probabilities (images, 5)."""
    random = np.random.default_rng(0)
    truth = random.integers(0, 5, images)
    scores = random.normal(0, 1, (images, 5))
    scores[np.arange(images), truth] += lead
    return random, truth, np.exp(scores) / np.exp(scores).sum(1, keepdims=True)


def test_wrong_labels_are_found_and_hard_images_are_not() -> None:
    """900 images of a good network; 45 labels are wrong."""
    random, truth, likely = answers(900, 5)
    labels = truth.copy()
    wrong = random.choice(900, 45, replace=False)
    labels[wrong] = (truth[wrong] + random.integers(1, 5, 45)) % 5
    found = suspects(likely, labels, [str(k) for k in range(900)], CLASSES)
    names = {int(each.sample) for each in found}
    hits = len(names & set(wrong.tolist()))
    assert hits >= 30, "most wrong labels are among the suspects"
    assert hits / len(found) > 0.9, "and most suspects are wrong labels"
    first = {int(each.sample) for each in found[:20]}
    assert len(first & set(wrong.tolist())) >= 18, "the most doubtful first"
    assert all(each.probability > each.probability_of_label for each in found)


def test_a_weak_network_doubts_little_and_says_how_weak_it_is() -> None:
    """It is right on half of 400 images; 12 labels are wrong."""
    _, truth, likely = answers(400, 1.2)
    labels = truth.copy()
    labels[:12] = (truth[:12] + 1) % 5
    found = suspects(likely, labels, [str(k) for k in range(400)], CLASSES)
    accuracy = float((likely.argmax(1) == labels).mean())
    assert 0.4 < accuracy < 0.6 and len(found) < 0.1 * 400
    assert all(each.probability - each.probability_of_label > 1 - accuracy for each in found)
    told = as_finding(found, accuracy)
    assert f"right on {100 * accuracy:.0f}% only" in told.meaning and "first few" in told.meaning
    assert "first few" not in as_finding(found, 0.95).meaning


def redrawn(share: float, sure: float, images: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    """Draw labels, of which a share is drawn anew, and answers of one certainty: as learnt."""
    random = np.random.default_rng(1)
    truth = random.integers(0, 5, images)
    labels = np.where(random.random(images) < share, random.integers(0, 5, images), truth)
    likely = np.full((images, 5), (1 - sure) / 4)
    likely[np.arange(images), truth] = sure
    noise = np.exp(random.normal(0, 0.2, likely.shape))
    return likely * noise / (likely * noise).sum(1, keepdims=True), labels


def test_labels_drawn_anew_are_no_weak_network() -> None:
    likely, labels = redrawn(0.5, 0.6)
    wrong = wrong_labels(likely, labels)
    assert wrong == pytest.approx(0.4, abs=0.03)
    found = suspects(likely, labels, [str(k) for k in range(len(labels))], CLASSES)
    told = as_finding(found, 1 - wrong, wrong).meaning
    assert f"either they are weak, or about {100 * wrong:.0f}% of all labels are wrong" in told
    assert "look at the first 20" in told and "first few" not in told


def test_a_weak_network_on_right_labels_is_not_taken_for_labels_drawn_anew() -> None:
    """Surer of easy images; or guessing; or taking classes for their neighbours."""
    _, truth, likely = answers(2000, 1.2)
    assert 0.4 < (likely.argmax(1) == truth).mean() < 0.6 and wrong_labels(likely, truth) is None
    guesses = np.full((2000, 5), 0.2) + np.random.default_rng(0).normal(0, 1e-3, (2000, 5))
    assert wrong_labels(guesses, truth) is None
    likely, labels = redrawn(0.0, 0.6)
    labels = np.where(np.random.default_rng(2).random(2000) < 0.4, (labels + 1) % 5, labels)
    assert wrong_labels(likely, labels) is None


def test_a_class_without_images_is_nobodys_suspicion() -> None:
    likely = np.array([[0.1, 0.1, 0.8], [0.9, 0.05, 0.05]])
    assert suspects(likely, np.array([0, 0]), "xy", CLASSES[:3]) == ()


def test_leaked_images_are_left_out_of_the_accuracy(trained: runs.Run) -> None:
    dataset = inference.split_as_trained(trained.path, None)
    assert {part: len(each) for part, each in dataset.parts.items()}["test"] == 15
    test = [f"test/{id}" for id in dataset.parts["test"].ids]
    found = inference.doubt(trained.path, dataset, set(test[:4]))
    assert found.suspects == () and found.images == sum(each.n for each in found.restated)
    restated = {each.part: each for each in found.restated}
    assert (restated["test"].leaked, restated["test"].n) == (4, 15)
    assert restated["test"].accuracy == restated["test"].accuracy_without == 1.0
    assert restated["test"].interval_without[0] < restated["test"].interval[0]
    assert restated["validation"].leaked == 0
    nothing = inference.doubt(trained.path, dataset, set(test))
    assert nothing.restated[1].accuracy_without is None


def test_other_data_than_the_runs_is_refused(trained: runs.Run) -> None:
    with pytest.raises(UsageError, match="leave DATA out"):
        inference.split_as_trained(trained.path, data.open("digits"))


def test_check_asks_a_run(trained: runs.Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["check", "--run", str(trained.path), "--json", "--only-data"])
    document = json.loads(capsys.readouterr().out)
    assert document["data"]["health"]["findings"][-1]["check"] == "labels_in_doubt"
    assert document["run"]["images"] == document["run"]["restated"][0]["n"] + 15
    assert "preflight" not in document
    assert set(document["data"]["images"]) == {"train", "validation", "test"}
