"""Faults planted in a copy of a folder of photographs, whose places are known.

What the data doctor is tried on, by `tests/data/test_health.py` and `data_doctor.py`.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from striate.data.health import Finding, Health


def finding(health: Health, check: str) -> Finding:
    """Return one of the things that were looked for."""
    return next(each for each in health.findings if each.check == check)


def named(found: Finding) -> set[str]:
    """Return all images that a finding names."""
    return {name for group in found.items for name in group}


def picture(seed: int, size: int = 96) -> Image.Image:
    """Return a smooth picture that no other seed gives."""
    chance = np.random.default_rng(seed)
    small = chance.integers(0, 256, (9, 9, 3), np.uint8)
    return Image.fromarray(small).resize((size, size), Image.Resampling.BICUBIC)


def save(image: Image.Image, path: Path, **options: object) -> Path:
    """Write an image, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


class Planted:
    """A copy of the natural-image folder with faults whose places are known."""

    def __init__(self, source: Path, place: Path) -> None:
        shutil.copytree(source, place)
        self.place, self.random = place, random.Random(0)
        train = sorted((place / "train").rglob("*.jpg"))
        self.random.shuffle(train)
        self.sources = iter(train)
        self.corrupt = [self._corrupt(number) for number in range(30)]
        self.exact = [self._exact(number) for number in range(40)]
        self.near = [self._near(number) for number in range(40)]
        self.conflicts = [self._conflict(number) for number in range(20)]
        for number in range(5):
            (next(self.sources).parent / f".hidden{number}.jpg").write_bytes(b"\xff\xd8\xff")
        self._modes()

    def _name(self, path: Path) -> str:
        return path.relative_to(self.place).as_posix()

    def _corrupt(self, number: int) -> str:
        path = next(self.sources)
        content = path.read_bytes()
        kinds = (b"", content[: len(content) // 2], b"no image" * 50)
        path.write_bytes(kinds[number % 3])
        return str(path)

    def _exact(self, number: int) -> tuple[str, str]:
        source = next(self.sources)
        copy = self.place / "test" / source.parent.name / f"exact{number}.jpg"
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(source, copy)
        return self._name(source), self._name(copy)

    def _near(self, number: int) -> tuple[str, str]:
        source = next(self.sources)
        copy = self.place / "test" / source.parent.name / f"near{number}.jpg"
        copy.parent.mkdir(exist_ok=True)
        with Image.open(source) as image:
            image.load()
        width, height = image.size
        some, draw = self.random.uniform, self.random
        if number % 4 == 1:
            factor = some(0.5, 1.5)
            image = image.resize((int(width * factor), int(height * factor)))
        elif number % 4 == 2:
            left, top = some(0, 0.05) * width, some(0, 0.05) * height
            right, bottom = some(0.95, 1) * width, some(0.95, 1) * height
            image = image.crop((int(left), int(top), int(right), int(bottom)))
        elif number % 4 == 3:
            factor = some(1, 1.2)
            image = image.point(lambda level: min(255, int(level * factor)))
        image.save(copy, quality=draw.randint(50, 95))
        return self._name(source), self._name(copy)

    def _conflict(self, number: int) -> tuple[str, str]:
        source = next(self.sources)
        classes = sorted(path.name for path in (self.place / "train").iterdir())
        other = classes[(classes.index(source.parent.name) + 1 + number) % len(classes)]
        if other == source.parent.name:
            other = classes[(classes.index(other) + 1) % len(classes)]
        copy = self.place / "train" / other / f"conflict{number}.jpg"
        shutil.copy(source, copy)
        return self._name(source), self._name(copy)

    def _modes(self) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        where = next(self.sources).parent
        save(picture(900), where / "turned.jpg", exif=exif)
        save(picture(901).convert("CMYK"), where / "cmyk.jpg")
        levels = np.asarray(picture(902).convert("L")).astype(np.uint16) * 257
        save(Image.fromarray(levels), where / "sixteen.png")

    def score(self, health: Health, before: Health) -> dict[str, float]:
        """Return the share found of each fault, and of the images what is flagged beside them.

        Args:
            health: of the folder with the faults.
            before: of the folder as it was.
        """
        close = finding(health, "near_duplicates").items
        exact = finding(health, "exact_duplicates").items
        torn = finding(health, "label_conflicts").items

        def share(pairs: list[tuple[str, str]], groups: tuple[tuple[str, ...], ...]) -> float:
            return float(
                np.mean([any(set(pair) <= set(each) for each in groups) for pair in pairs])
            )

        bad, hidden = (named(finding(health, each)) for each in ("bad_files", "hidden_or_empty"))
        modes = {each.what: each.count for each in health.modes}
        known = {name for pair in (*self.exact, *self.near, *self.conflicts) for name in pair}
        known |= bad | hidden | {name for each in before.findings for name in named(each)}
        flagged = {name for each in health.findings for name in named(each)}
        leaked = set(health.leaked)
        return {
            "corrupt_files": len(bad & set(self.corrupt)) / len(self.corrupt),
            "exact_duplicates": share([*self.exact, *self.conflicts], exact),
            "leaked": len(leaked & {copy for _, copy in self.exact}) / len(self.exact),
            "near_duplicates": share(self.near, close),
            "label_conflicts": share(self.conflicts, torn),
            "hidden_files": len(hidden) / 5,
            "odd_modes": sum(
                modes.get(each) == 1 for each in ("RGB, turned by EXIF", "CMYK", "16 bits")
            )
            / 3,
            "flagged_beside": len(flagged - known) / sum(health.images.values()),
        }
