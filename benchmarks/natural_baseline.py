"""A competent hand-written baseline for a folder of photographs: plain PyTorch and Pillow.

What an engineer writes in an afternoon, following the usual advice and tuning nothing to the data:
ResNet-18 from scratch, AdamW, a short warm-up and a cosine over the time budget, label smoothing,
random resized crops, flips, colour jitter, and the weights of the best validation epoch. It shares
no code with striate. The clock starts before the images are decoded and stops before the test
images are read.

    python benchmarks/natural_baseline.py FOLDER [--seed 0] [--seconds 600] [--size 96]

FOLDER holds train/<class>/ and test/<class>/. The last line printed is one JSON document.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
LUMA = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
BATCH, RATE, DECAY, SMOOTHING = 32, 1e-3, 0.05, 0.1
WARMUP = 0.05  # of the budget
MARGIN = 3.0  # seconds kept for the last validation
KEPT = 160  # short side of a decoded image in memory, in pixels


def load(part: Path, classes: list[str]) -> tuple[list[Image.Image], np.ndarray]:
    """Decode every image of a part once."""
    images, labels = [], []
    for label, name in enumerate(classes):
        for path in sorted((part / name).iterdir()):
            with Image.open(path) as opened:
                image = opened.convert("RGB")
            if min(image.size) > KEPT:
                ratio = KEPT / min(image.size)
                width, height = (max(KEPT, round(side * ratio)) for side in image.size)
                image = image.resize((width, height), Image.Resampling.BILINEAR)
            images.append(image)
            labels.append(label)
    return images, np.array(labels)


def hold_out(labels: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Return the indices of a stratified validation part."""
    held = []
    for label in np.unique(labels):
        index = rng.permutation(np.flatnonzero(labels == label))
        held.extend(index[: max(1, round(share * len(index)))])
    return np.sort(held)


def crop(image: Image.Image, size: int, rng: np.random.Generator) -> Image.Image:
    """Return a random resized crop, mirrored half of the time."""
    width, height = image.size
    wide = tall = float(min(width, height))
    for _ in range(10):
        area = width * height * rng.uniform(0.25, 1.0)
        aspect = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = math.sqrt(area * aspect), math.sqrt(area / aspect)
        if w <= width and h <= height:
            wide, tall = w, h
            break
    x, y = rng.uniform(0, width - wide), rng.uniform(0, height - tall)
    box = (x, y, x + wide, y + tall)
    view = image.resize((size, size), Image.Resampling.BILINEAR, box=box)
    return view.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else view


def centre(image: Image.Image, size: int) -> Image.Image:
    """Return the largest centred square, resized."""
    width, height = image.size
    side = min(width, height)
    x, y = (width - side) / 2, (height - side) / 2
    return image.resize((size, size), Image.Resampling.BILINEAR, box=(x, y, x + side, y + side))


def to_tensor(images: list[Image.Image]) -> Tensor:
    """Return images as (n, 3, height, width), 0 to 1."""
    pixels = torch.from_numpy(np.stack([np.asarray(image) for image in images]))
    return pixels.permute(0, 3, 1, 2).float().div_(255)


def normalised(x: Tensor) -> Tensor:
    """Return images as the network takes them."""
    return ((x - MEAN) / STD).contiguous(memory_format=torch.channels_last)


def jitter(x: Tensor, strength: float = 0.4, hue: float = 0.05) -> Tensor:
    """Change brightness, contrast, saturation and hue of each image."""
    n = len(x)

    def factor() -> Tensor:
        return torch.empty(n, 1, 1, 1).uniform_(1 - strength, 1 + strength)

    x = x * factor()
    mean = (x * LUMA).sum(1, keepdim=True).mean((2, 3), keepdim=True)
    x = (x - mean) * factor() + mean
    grey = (x * LUMA).sum(1, keepdim=True)
    x = (x - grey) * factor() + grey
    angle = torch.empty(n).uniform_(-hue, hue) * (2 * math.pi)
    cos, sin = angle.cos(), angle.sin() / math.sqrt(3)
    third = (1 - cos) / 3
    row = [cos + third, third - sin, third + sin]
    turn = torch.stack([*row, row[2], row[0], row[1], row[1], row[2], row[0]], 1)
    return torch.bmm(turn.view(n, 3, 3), x.flatten(2)).view_as(x).clamp_(0, 1)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            projection = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(block(x) + shortcut(x))."""
        y = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        return functional.relu(self.bn2(self.conv2(y)) + self.shortcut(x), inplace=True)


def resnet18(classes: int) -> nn.Module:
    """Return torchvision's ResNet-18, with its initialisation."""
    stem = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
    layers: list[nn.Module] = [stem, nn.BatchNorm2d(64), nn.ReLU(True), nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for outputs, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [BasicBlock(inputs, outputs, stride), BasicBlock(outputs, outputs, 1)]
        inputs = outputs
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes)]
    net = nn.Sequential(*layers, *head)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return net


@torch.no_grad()
def evaluate(
    net: nn.Module, images: list[Image.Image], labels: np.ndarray, size: int
) -> tuple[float, float]:
    """Return accuracy and mean cross-entropy, one centre crop an image."""
    net.eval()
    right, loss = 0, 0.0
    for start in range(0, len(images), 64):
        views = [centre(image, size) for image in images[start : start + 64]]
        target = torch.from_numpy(labels[start : start + 64])
        output = net(normalised(to_tensor(views)))
        right += int((output.argmax(1) == target).sum())
        loss += float(functional.cross_entropy(output, target, reduction="sum"))
    return right / len(images), loss / len(images)


def optimiser_for(net: nn.Module) -> torch.optim.Optimizer:
    """Return AdamW that spares biases and norms its weight decay."""
    decayed = [p for p in net.parameters() if p.ndim > 1]
    plain = [p for p in net.parameters() if p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": DECAY},
        {"params": plain, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=RATE)


def run(folder: Path, seed: int, seconds: float, size: int) -> dict[str, float | int]:
    """Train for `seconds` and return what one JSON line says."""
    begin = time.monotonic()
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    classes = sorted(each.name for each in (folder / "train").iterdir() if each.is_dir())
    images, labels = load(folder / "train", classes)
    held = hold_out(labels, 0.1, rng)
    train = np.setdiff1d(np.arange(len(labels)), held)
    held_images, targets = [images[i] for i in held], torch.from_numpy(labels)
    net = resnet18(len(classes)).to(memory_format=torch.channels_last)
    optimiser = optimiser_for(net)
    best, best_state, epoch = (-1.0, 0.0), copy.deepcopy(net.state_dict()), 0
    while time.monotonic() - begin < seconds - MARGIN:
        net.train()
        order = rng.permutation(train)
        for start in range(0, len(train) - BATCH + 1, BATCH):
            done = min((time.monotonic() - begin) / (seconds - MARGIN), 1.0)
            fall = 0.5 * (1 + math.cos(math.pi * (done - WARMUP) / (1 - WARMUP)))
            for group in optimiser.param_groups:
                group["lr"] = RATE * max(done / WARMUP if done < WARMUP else fall, 1e-3)
            index = order[start : start + BATCH]
            views = to_tensor([crop(images[i], size, rng) for i in index])
            output = net(normalised(jitter(views)))
            loss = functional.cross_entropy(output, targets[index], label_smoothing=SMOOTHING)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            if done >= 1.0:
                break
        epoch += 1
        accuracy, held_loss = evaluate(net, held_images, labels[held], size)
        if (accuracy, -held_loss) > best:
            best, best_state = (accuracy, -held_loss), copy.deepcopy(net.state_dict())
    spent = time.monotonic() - begin
    net.load_state_dict(best_state)
    accuracy, _ = evaluate(net, *load(folder / "test", classes), size)
    return {
        "accuracy": accuracy,
        "validation": best[0],
        "epochs": epoch,
        "seconds": spent,
        "seed": seed,
        "size": size,
    }


def main() -> None:
    """Read the arguments, train, print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=600.0, help="training budget")
    parser.add_argument("--size", type=int, default=96, help="side of the input, in pixels")
    options = parser.parse_args()
    json.dump(run(options.folder, options.seed, options.seconds, options.size), sys.stdout)
    print()


if __name__ == "__main__":
    main()
