"""What a recipe leaves to be measured is measured on the training part, and written into it."""

from __future__ import annotations

import numpy as np

from striate import data, recipes
from striate.train.prepare import lit, prepare


def test_lighting_is_measured_once_and_kept() -> None:
    digits = data.open("digits")
    recipe = recipes.make("auto", digits, settings=['augmentation=["flip","lighting"]'])
    prepared = prepare(recipe, digits)
    measured = lit(recipe, prepared)
    flip, lighting = measured.augmentation
    assert isinstance(flip, data.Flip) and isinstance(lighting, data.Lighting)
    images = [
        prepared.split.train.pixels(index, prepared.contract) / 255
        for index in range(len(prepared.split.train))
    ]
    assert np.allclose(lighting.components, [[np.std(images)]])
    assert lit(measured, prepared) is measured
    plain = recipe.replace(augmentation=(flip,))
    assert lit(plain, prepared) is plain
