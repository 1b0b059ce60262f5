"""An augmentation of your own: a record whose numbers are a run's, drawn by address.

    python examples/add_augmentation.py [DATA]

Geometry gives a map, so this one is composed with all the others, and an image is sampled once
however many there are. It needs no registration: a record below `Geometric` is a kind. Writes
seen.png, some images as each epoch shows them, and prints the recipe's line and where it lies.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import numpy.typing as npt

from striate import data, recipes
from striate.data.augmentation import Geometric
from striate.randomness import Stream
from striate.records import decode, to_builtins, with_settings
from striate.train import Recipe
from striate.train.prepare import prepare


class QuarterTurns(Geometric, frozen=True, kw_only=True):
    """Turn an image by 0, 90, 180 or 270 degrees: for what has no up, as cells and stars have not.

    Args:
        p: probability of any turn.
    """

    p: float = 1.0

    def maps(self, stream: Stream, size: tuple[int, int]) -> npt.NDArray[np.float64]:
        """Draw turns about the middle: (samples, 2, 3); a square image loses nothing."""
        quarters = stream.integers("quarters", 0, 3) * (stream.uniform("turn") < self.p)
        sine, cosine = np.array([0, 1, 0, -1])[quarters], np.array([1, 0, -1, 0])[quarters]
        turn = np.stack([np.stack([cosine, -sine], 1), np.stack([sine, cosine], 1)], 1)
        middle = np.array([size[1], size[0]]) / 2
        return np.concatenate([turn, (middle - turn @ middle)[..., None]], axis=2)


def main(spec: str, out: Path) -> Recipe:
    """Put it into a recipe, see it, and read the recipe back."""
    dataset = data.open(spec)
    recipe = recipes.make("auto", dataset)
    recipe = recipe.replace(augmentation=(*recipe.augmentation, QuarterTurns(p=0.75)))
    prepared = prepare(recipe, dataset)
    sheet = data.contact_sheet(
        prepared.split.train, prepared.contract, recipe.augmentation, epochs=6
    )
    sheet.save(out / "seen.png")
    again = decode(Recipe, to_builtins(recipe))  # what resume and replay do
    print(to_builtins(again.augmentation[-1]), out / "seen.png", sep="\n")
    place = len(recipe.augmentation) - 1
    return with_settings(again, [f"augmentation.{place}.p=0.5"])


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "digits", Path(mkdtemp()))
