"""Data: how images get in, from any form they come in to the batches that a network sees.

`open` reads a data set, `split` holds images out, `measure` takes mean and standard deviation,
`prepare` is the one path from pixels to a network's input, `Loader` makes batches, and `pack`
writes a data set into one file.
"""

from __future__ import annotations

from striate.data.augmentation import (
    Affine,
    Augmentation,
    ColourJitter,
    Cutout,
    Erase,
    Flip,
    PadAndCrop,
    RandomResizedCrop,
)
from striate.data.batch import Batch
from striate.data.bending import LensDistortion, Perspective, ShortSideCrop, Stretch
from striate.data.contact_sheet import contact_sheet
from striate.data.copying import onto
from striate.data.dataset import Dataset, Sizes, Skipped
from striate.data.decode import decode
from striate.data.loader import Loader
from striate.data.measure import measure, principal_colours
from striate.data.packed import Packed, verify_packed
from striate.data.packing import pack
from striate.data.prepare import prepare
from striate.data.samples import ArraySamples, FileSamples, Samples
from striate.data.sampling import Sampling
from striate.data.source import open
from striate.data.split import Split, SplitDocument, split
from striate.data.tones import Lighting, Noise, RandAugment, TrivialAugment

__all__ = [
    "Affine",
    "ArraySamples",
    "Augmentation",
    "Batch",
    "ColourJitter",
    "Cutout",
    "Dataset",
    "Erase",
    "FileSamples",
    "Flip",
    "LensDistortion",
    "Lighting",
    "Loader",
    "Noise",
    "Packed",
    "PadAndCrop",
    "Perspective",
    "RandAugment",
    "RandomResizedCrop",
    "Samples",
    "Sampling",
    "ShortSideCrop",
    "Sizes",
    "Skipped",
    "Split",
    "SplitDocument",
    "Stretch",
    "TrivialAugment",
    "contact_sheet",
    "decode",
    "measure",
    "onto",
    "open",
    "pack",
    "prepare",
    "principal_colours",
    "split",
    "verify_packed",
]
