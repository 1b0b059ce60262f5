"""The lectures' slides on babysitting a training, reproduced on CIFAR-10, with striate's verdicts.

Two layers, 50 hidden units, on raw pixels of 0 to 255 minus the mean image: the loss at the start,
regularisation that raises it, 20 images learnt by heart, learning rates too low and too high, and a
search from coarse to fine that warns when its best lies at the edge of its range.

    python examples/babysitting.py [--quick | --full] [--data DATA]

--full takes all training images, a twentieth of them to validate, and a quarter of an hour of a
core; it ends at about 52%. With fewer images to train on it ends lower: 44% with 18,000.

Source: Stanford's CS231n, lecture "Training neural networks", part 2 of the babysitting slides.
"""

from __future__ import annotations

import argparse
import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from striate import data, train
from striate.data.samples import ArraySamples
from striate.design import Sketch
from striate.doctor.diagnose import diagnose_story
from striate.doctor.story import Story

HIDDEN, CLASSES, BATCH = 50, 10, 100
_COARSE = 20_000  # images that the coarse search trains on


class Images(NamedTuple):
    """Training and validation images as rows of raw pixels minus the mean image."""

    x: Tensor
    y: Tensor
    x_val: Tensor
    y_val: Tensor


class Course(NamedTuple):
    """What a training showed: loss of each step, update / weight now and then, accuracies."""

    losses: list[float]
    ratios: list[tuple[float, float]]
    validations: list[tuple[float, float]]
    train_accuracy: float


def open_images(most: int, source: str = "cifar10") -> Images:
    """Open CIFAR-10's training part in an order drawn once; a twentieth is held out to validate."""
    samples = data.open(source).parts["train"]
    if not isinstance(samples, ArraySamples):
        raise TypeError("expected images in memory")
    order = np.random.default_rng(0).permutation(len(samples))[:most]
    pixels = torch.from_numpy(samples.images[order].reshape(len(order), -1)).float()
    labels = torch.from_numpy(samples.labels[order])
    held = max(500, len(order) // 20)
    mean = pixels[held:].mean(0)
    return Images(pixels[held:] - mean, labels[held:], pixels[:held] - mean, labels[:held])


def weights(seed: int = 0) -> list[Tensor]:
    """Return W1, b1, W2, b2: Gaussians of 1e-4, and zeros."""
    generator = torch.Generator().manual_seed(seed)
    made = [
        1e-4 * torch.randn(3072, HIDDEN, generator=generator),
        torch.zeros(HIDDEN),
        1e-4 * torch.randn(HIDDEN, CLASSES, generator=generator),
        torch.zeros(CLASSES),
    ]
    return [each.requires_grad_() for each in made]


def scores(x: Tensor, parameters: list[Tensor]) -> Tensor:
    """Return (rows, 10) from (rows, 3072)."""
    w1, b1, w2, b2 = parameters
    return torch.relu(x @ w1 + b1) @ w2 + b2


def loss_of(x: Tensor, y: Tensor, parameters: list[Tensor], decay: float) -> Tensor:
    """Return the cross-entropy plus decay / 2 times the squared weights."""
    penalty = parameters[0].square().sum() + parameters[2].square().sum()
    return functional.cross_entropy(scores(x, parameters), y) + 0.5 * decay * penalty


def fit(
    images: Images,
    rate: float,
    decay: float,
    epochs: int,
    *,
    batch: int = BATCH,
    fall: float = 1.0,
    seed: int = 0,
) -> Course:
    """Train with momentum 0.9, and stop at a loss that is not finite or three times the first."""
    parameters = weights(seed)
    optimiser = torch.optim.SGD(parameters, rate, momentum=0.9)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimiser, fall)
    generator = torch.Generator().manual_seed(seed)
    course = Course([], [], [], 0.0)
    for _ in range(epochs):
        order = torch.randperm(len(images.y), generator=generator)
        for rows in torch.split(order, batch):
            optimiser.zero_grad()
            loss = loss_of(images.x[rows], images.y[rows], parameters, decay)
            course.losses.append(loss.item())
            if not math.isfinite(course.losses[-1]) or course.losses[-1] > 3 * course.losses[0]:
                return course
            loss.backward()
            looked_at = parameters[::2] if len(course.losses) % 20 == 1 else []
            before = [each.detach().clone() for each in looked_at]
            optimiser.step()
            moves = [
                float((each.detach() - old).norm() / old.norm())
                for each, old in zip(looked_at, before, strict=True)
            ]
            if moves:
                course.ratios.append((moves[0], moves[1]))
        with torch.no_grad():
            outputs = scores(images.x_val, parameters)
        figures = functional.cross_entropy(outputs, images.y_val), accuracy(outputs, images.y_val)
        course.validations.append((float(figures[0]), figures[1]))
        schedule.step()
    with torch.no_grad():
        return course._replace(train_accuracy=accuracy(scores(images.x, parameters), images.y))


def accuracy(outputs: Tensor, labels: Tensor) -> float:
    """Return the share of rows classified correctly."""
    return float((outputs.argmax(1) == labels).float().mean())


def verdicts(course: Course, rate: float, images: Images) -> str:
    """Say what striate's doctor finds in a course."""
    pen = Sketch("two_layers", (3, 32, 32))
    pen.flatten()
    pen.linear("fc1", HIDDEN)
    pen.relu("relu1")
    pen.linear("fc2", CLASSES)
    recipe = train.Recipe(
        name="babysitting",
        network=pen.finish(),
        data=train.DataChoice(path="cifar10"),
        preprocessing=train.Preprocessing(channels="rgb", size=(32, 32)),
        optimiser=train.SGD(rate=rate),
        batch=BATCH,
    )
    losses = np.array(course.losses)
    finite = bool(np.isfinite(losses).all())
    probe = [
        {
            "weights": {
                f"{name}.weight": {"size": 1.0, "gradient": 1.0, "update": ratio}
                for name, ratio in zip(("fc1", "fc2"), ratios, strict=True)
            },
            "values": {},
            "norms": {},
        }
        for ratios in course.ratios
    ]
    story = Story(
        recipe=recipe,
        classes=CLASSES,
        losses=losses[np.isfinite(losses)],
        rates=np.full(int(np.isfinite(losses).sum()), rate),
        gradients=np.ones(len(losses)),
        steps_per_epoch=-(-len(images.y) // BATCH),
        validations=np.array(course.validations).reshape(-1, 2),
        probes=tuple(probe),
        failure=None if finite else {"at": len(losses), "layer": "fc1"},
        data={},
        results=None,
        images=len(images.y),
        held_out=len(images.y_val),
    )
    found = diagnose_story(story)
    return found[0].finding.replace("_", " ") if found else "nothing to say"


def search(
    images: Images,
    rates: tuple[float, float],
    decays: tuple[float, float],
    trials: int,
    epochs: int,
) -> tuple[float, float, float]:
    """Search at random in log space; print a line a trial and return the best (accuracy, ...)."""
    random = np.random.default_rng(0)
    best = (0.0, 0.0, 0.0)
    for number in range(trials):
        rate = 10 ** random.uniform(*np.log10(rates))
        decay = 10 ** random.uniform(*np.log10(decays))
        course = fit(images, rate, decay, epochs, fall=0.85)
        reached = course.validations[-1][1] if course.validations else 0.0
        if not math.isfinite(course.losses[-1]) or course.losses[-1] > 3 * course.losses[0]:
            reached = 0.0
        best = max(best, (reached, rate, decay))
        mark = " *" if best[1] == rate else ""
        print(f"  {number:3}  accuracy {reached:.3f}  rate {rate:.2e}  decay {decay:.2e}{mark}")
    for name, value, ends in (("rate", best[1], rates), ("decay", best[2], decays)):
        place = math.log(value / ends[0]) / math.log(ends[1] / ends[0])
        if place < 0.1 or place > 0.9:
            print(
                f"  Widen the range: the best {name}, {value:.1e}, is at the edge of "
                f"{ends[0]:.1e} to {ends[1]:.1e}."
            )
    return best


def main() -> None:
    """Go through the slides in order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer images and trials")
    parser.add_argument("--full", action="store_true", help="all images, more epochs")
    parser.add_argument("--data", default="cifar10", help="where CIFAR-10 is")
    chosen = parser.parse_args()
    size = "quick" if chosen.quick else "full" if chosen.full else "usual"
    count, trials, epochs = {"quick": (4000, 4, 2), "usual": (20_000, 10, 5)}.get(
        size, (50_000, 8, 12)
    )
    images = open_images(count, chosen.data)
    start = weights()
    for decay in (0.0, 1e3):
        loss = loss_of(images.x, images.y, start, decay)
        print(f"loss at the start, decay {decay:g}: {loss.item():.3f}")
    few = Images(images.x[:20], images.y[:20], images.x_val, images.y_val)
    course = fit(few, 1e-3, 0.0, 200, batch=20)
    print(f"20 images: accuracy {course.train_accuracy:.2f}, loss {course.losses[-1]:.4f}")
    for rate in (1e-6, 1e6, 3e-3):
        course = fit(images, rate, 1e-6, 3)
        right = f", accuracy {course.validations[-1][1]:.3f}" if course.validations else ""
        print(
            f"rate {rate:g}: loss {course.losses[0]:.3f} to {course.losses[-1]:#.4g}{right}: "
            f"{verdicts(course, rate, images)}"
        )
    print("coarse")
    some = images._replace(x=images.x[:_COARSE], y=images.y[:_COARSE])
    _, rate, decay = search(some, (1e-6, 1e-3), (1e-5, 1e2), 2 * trials, max(1, epochs // 4))
    print("fine")
    best = search(images, (rate / 8, rate * 2), (decay / 10, decay * 10), trials, epochs)
    print(f"best: accuracy {best[0]:.3f} with rate {best[1]:.1e} and decay {best[2]:.1e}")


if __name__ == "__main__":
    main()
