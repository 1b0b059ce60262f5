"""Batches from images on disk, against Pillow and torch's DataLoader.

Images are 500x375 JPEGs (quality 90, made here: noise with the spectrum of photographs, so that
anybody has the same). What comes out is the same for both: float32 batches of 64, random resized
crop to 224, flip, normalised; `jitter` adds brightness, contrast, saturation and hue. The peer is
what tutorials do: Pillow decodes and resizes, torchvision's arithmetic turns it into a tensor, two
processes of a DataLoader (persistent, so that their start is not counted). Ours has two threads
and reads every file anew: nothing decoded is kept. Epochs alternate; the ratio is that of the
medians, the interval the quartiles of the ratios of neighbouring epochs. The `packed` rows are the
same work from packed files, against the peer on the JPEGs they were made from.

    python benchmarks/loader.py [--json] [--quick] [--only jpeg_rrc]
"""

from __future__ import annotations

import argparse
import io
import json
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageEnhance

from striate import data
from striate.contract import Contract, Resize
from striate.ops import machine

SIDE, BATCH, WORKERS = 224, 64, 2
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
JITTER = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}
ROWS = ("jpeg_rrc", "jpeg_rrc_jitter", "packed_jpeg256", "packed_raw256")


def photograph(number: int, height: int = 375, width: int = 500) -> Image.Image:
    """Return noise whose amplitude falls as 1/f, in three channels that are alike."""
    chance = np.random.default_rng(number)
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    fall = 1 / np.maximum(np.hypot(down, across), 1 / width) ** 1.1
    spectrum = chance.normal(size=(3, *fall.shape)) + 1j * chance.normal(size=(3, *fall.shape))
    levels = np.fft.irfft2(spectrum * fall, (height, width))
    levels = 0.8 * levels[:1] + 0.2 * levels
    levels = 128 + 50 * (levels - levels.mean()) / levels.std()
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8).transpose(1, 2, 0))


def write(folder: Path, count: int) -> None:
    """Write JPEGs into two class folders."""
    for number in range(count):
        place = folder / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        photograph(number % 64).save(place / f"{number:05}.jpg", quality=90)


class Standard(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
    """Images as torchvision's ImageFolder and transforms make them, with Pillow."""

    def __init__(self, paths: Sequence[Path], jitter: bool) -> None:
        self.paths, self.jitter = paths, jitter
        self.mean, self.std = (torch.tensor(each).view(3, 1, 1) for each in (MEAN, STD))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        with Image.open(io.BytesIO(self.paths[index].read_bytes())) as opened:
            image = opened.convert("RGB")
        image = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, random_box(image.size))
        if torch.rand(1).item() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if self.jitter:
            image = jittered(image)
        tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div_(255)
        return tensor.sub_(self.mean).div_(self.std), index % 2


def random_box(size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Draw the box of a random resized crop, as torchvision does."""
    width, height = size
    for _ in range(10):
        area = width * height * float(torch.empty(1).uniform_(0.08, 1.0))
        ratio = float(
            torch.exp(torch.empty(1).uniform_(float(np.log(3 / 4)), float(np.log(4 / 3))))
        )
        wide, tall = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
        if 0 < wide <= width and 0 < tall <= height:
            left = int(torch.randint(0, width - wide + 1, (1,)))
            top = int(torch.randint(0, height - tall + 1, (1,)))
            return left, top, left + wide, top + tall
    return 0, 0, width, height


def jittered(image: Image.Image) -> Image.Image:
    """Change colours with Pillow, as torchvision does."""
    kinds = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    for kind, most in zip(kinds, (0.4, 0.4, 0.4), strict=True):
        image = kind(image).enhance(float(torch.empty(1).uniform_(1 - most, 1 + most)))
    hue, saturation, value = image.convert("HSV").split()
    turn = int(float(torch.empty(1).uniform_(-0.1, 0.1)) * 255)
    turned = Image.fromarray(np.asarray(hue) + np.uint8(turn % 256))
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB")


def ours(path: Path, jitter: bool) -> Callable[[], float]:
    """Return a function that goes through an epoch and says how many images a second."""
    opened = data.open(path)
    samples = opened.parts["all"]
    if isinstance(samples, data.FileSamples):
        samples.kept = [None] * len(samples)  # every epoch reads and decodes anew
    contract = Contract(
        classes=opened.classes,
        channels="rgb",
        size=(SIDE, SIDE),
        resize=Resize(rule="short_side", size=(256, 256)),
        crop="centre",
        mean=MEAN,
        std=STD,
    )
    changes: list[data.Augmentation] = [data.RandomResizedCrop(), data.Flip()]
    changes += [data.ColourJitter(**JITTER)] if jitter else []
    loader = data.Loader(
        samples,
        contract,
        batch=BATCH,
        seed=0,
        augmentation=changes,
        shuffle=True,
        workers=WORKERS,
    )
    epochs = iter(range(1 << 30))
    return lambda: rate((batch.images for batch in loader.epoch(next(epochs))), len(samples))


def standard(folder: Path, jitter: bool) -> Callable[[], float]:
    """Return the same for Pillow and torch's DataLoader."""
    paths = sorted(folder.rglob("*.jpg"))
    loader = torch.utils.data.DataLoader(
        Standard(paths, jitter),
        BATCH,
        shuffle=True,
        num_workers=WORKERS,
        persistent_workers=True,
    )
    return lambda: rate((images for images, _ in loader), len(paths))


def rate(batches: Iterable[torch.Tensor], count: int) -> float:
    """Return images a second over all batches."""
    began = time.perf_counter()
    seen = sum(len(images) for images in batches)
    if seen != count:
        raise SystemExit(f"expected {count} images, received {seen}")
    return count / (time.perf_counter() - began)


def measure(name: str, folder: Path, packed: dict[str, Path], rounds: int) -> dict[str, Any]:
    """Return one row of the benchmark's document."""
    jitter = name.endswith("jitter")
    mine, theirs = ours(packed.get(name, folder), jitter), standard(folder, jitter)
    mine(), theirs()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pairs = []
    for number in range(rounds):
        if number % 2:
            pairs.append((mine(), theirs()))
        else:
            other = theirs()
            pairs.append((mine(), other))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    rates = [statistics.median(each) for each in zip(*pairs, strict=True)]
    low, _, high = statistics.quantiles([a / b for a, b in pairs], n=4)
    return {
        "name": name,
        "unit": "images/s",
        "ours": round(rates[0], 1),
        "peers": {"pillow_dataloader": round(rates[1], 1)},
        "best_peer": "pillow_dataloader",
        "ratio": round(rates[0] / rates[1], 3),
        "interval": [round(low, 3), round(high, 3)],
        "rounds": rounds,
        "grown_kib": grown,
    }


def main() -> None:
    """Measure every row and print the document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--quick", action="store_true", help="under a minute")
    parser.add_argument("--only", metavar="NAME", choices=ROWS, help="one row")
    arguments = parser.parse_args()
    count, rounds = (192, 3) if arguments.quick else (1024, 7)
    here = machine()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "jpeg")
        write(folder, count)
        packed = {}
        for form in ("jpeg", "raw"):
            packed[f"packed_{form}256"] = Path(place, f"{form}.pack")
            data.pack(data.open(folder), packed[f"packed_{form}256"], size=256, form=form)
        names = [arguments.only] if arguments.only else ROWS
        rows = [measure(name, folder, packed, rounds) for name in names]
    document = {
        "claim": "Training batches come faster than from Pillow and a DataLoader.",
        "conditions": {
            "machine": here.cpu,
            "workers": WORKERS,
            "images": count,
            "torch": str(torch.__version__),
            "python": platform.python_version(),
        },
        "rows": rows,
    }
    if arguments.json:
        print(json.dumps(document, indent=2))
        return
    for row in rows:
        print(
            f"{row['name']:16} ours {row['ours']:8.1f}  peer "
            f"{row['peers']['pillow_dataloader']:8.1f} {row['unit']}  ratio {row['ratio']:.2f} "
            f"({row['interval'][0]:.2f} to {row['interval'][1]:.2f})"
        )


if __name__ == "__main__":
    main()
