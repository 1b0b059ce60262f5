"""From pixels to the network's input, against Pillow and torch."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL import __version__ as pillow_version

from striate.contract import Class, Contract, Resize
from striate.data.prepare import fit, fits, heights_first, prepare, resample, resized_size
from striate.errors import ContractError

FILTERS: dict[str, Image.Resampling] = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
SIZES = [(24, 31), (60, 80), (41, 17), (45, 60)]

Pixels = npt.NDArray[np.uint8]


def picture(height: int = 45, width: int = 60, channels: int = 3) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)


def contract(
    size: tuple[int, int], channels: Literal["rgb", "bgr", "grey"] = "rgb", **changes: Any
) -> Contract:
    count = 1 if channels == "grey" else 3
    fields: dict[str, Any] = {"mean": (0.5, 0.4, 0.3)[:count], "std": (0.2, 0.3, 0.4)[:count]}
    classes = (Class(id="a", label="a"),)
    return Contract(classes=classes, channels=channels, size=size, **(fields | changes))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("channels", [1, 3])
def test_antialiased_8_bit_resizing_is_pillows(
    size: tuple[int, int], name: Any, channels: int
) -> None:
    pixels = picture(channels=channels)
    resize = Resize(rule="exact", size=size, filter=name)
    found = resample(pixels, size, resize)
    image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    pillow = np.asarray(image.resize(size[::-1], FILTERS[name]))
    assert found.dtype == np.uint8 and np.array_equal(found.squeeze(), pillow.squeeze())


@pytest.mark.parametrize("kind", ["photograph", "noise"])
@pytest.mark.parametrize("name", FILTERS)
@given(
    before=st.tuples(st.integers(1, 130), st.integers(1, 130)),
    after=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    channels=st.sampled_from([1, 3]),
)
def test_any_size_is_pillows_in_one_call(
    kind: str, name: Any, before: tuple[int, int], after: tuple[int, int], channels: int
) -> None:
    image = Image.fromarray(picture(*(before if kind == "noise" else (6, 5))))
    image = image.resize(before[::-1], Image.Resampling.BICUBIC)  # smooth, as photographs are
    image = image if channels == 3 else image.convert("L")
    pixels = np.asarray(image).reshape(*before, channels)
    found = resample(pixels, after, Resize(rule="exact", size=after, filter=name))
    pillow = np.asarray(image.resize(after[::-1], FILTERS[name])).reshape(found.shape)
    most = 0 if int(pillow_version.split(".")[0]) >= 13 or name == "nearest" else 1
    if most == 0 or name in ("box", "bilinear"):
        assert np.abs(found.astype(int) - pillow).max() <= most


@pytest.mark.parametrize(
    ("before", "after", "heights"),
    [
        ((100, 64), (36, 32), False),  # loses exactly twice as much
        ((100, 64), (35, 32), True),
        ((64, 100), (32, 36), False),
        ((64, 64), (63, 80), True),
        ((64, 64), (80, 80), False),
    ],
)
def test_the_order_of_passes_is_pillow_13s(
    before: tuple[int, int], after: tuple[int, int], heights: bool
) -> None:
    assert heights_first(before, after) == heights
    image = Image.fromarray(picture(*before))
    first = (before[1], after[0]) if heights else (after[1], before[0])
    expected = image.resize(first, Image.Resampling.BICUBIC)
    expected = expected.resize(after[::-1], Image.Resampling.BICUBIC)
    found = resample(picture(*before), after, Resize(rule="exact", size=after, filter="bicubic"))
    assert np.array_equal(found, np.asarray(expected))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", FILTERS)
def test_antialiased_float_resizing_is_pillows_without_its_rounding(
    size: tuple[int, int], name: Any
) -> None:
    pixels = picture()
    resize = Resize(rule="exact", size=size, filter=name, arithmetic="float32")
    found = resample(pixels, size, resize)
    planes = [
        np.asarray(
            Image.fromarray(pixels[..., c].astype(np.float32)).resize(size[::-1], FILTERS[name])
        )
        for c in range(3)
    ]
    assert found.dtype == np.float32
    assert np.abs(found - np.stack(planes, axis=2)).max() < 0.01


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("name", "antialias"), [("bilinear", False), ("bilinear", True), ("bicubic", True)]
)
def test_float_resizing_is_torchs(size: tuple[int, int], name: Any, antialias: bool) -> None:
    pixels = picture()
    resize = Resize(rule="exact", size=size, filter=name, antialias=antialias, arithmetic="float32")
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
    theirs = torch.nn.functional.interpolate(images, size, mode=name, antialias=antialias)
    found = torch.from_numpy(resample(pixels, size, resize)).permute(2, 0, 1)
    assert (found - theirs[0]).abs().max() < 0.01


def test_8_bit_resizing_without_antialias_rounds_to_levels() -> None:
    resize = Resize(rule="exact", size=(20, 20), antialias=False)
    found = resample(picture(), (20, 20), resize)
    exact = resample(picture(), (20, 20), resize.replace(arithmetic="float32"))
    assert found.dtype == np.uint8 and np.abs(found - exact).max() <= 0.5001


@pytest.mark.parametrize("channels", ["rgb", "bgr", "grey"])
def test_normalising(channels: Literal["rgb", "bgr", "grey"]) -> None:
    to = contract((45, 60), channels)
    pixels = picture(channels=to.channel_count)
    found = prepare(pixels, to)
    assert found.dtype == np.float32 and found.shape == to.shape and found.flags.c_contiguous
    exact = (pixels / 255 - np.array(to.mean)) / np.array(to.std)
    assert np.abs(found - exact.transpose(2, 0, 1)).max() < 1e-6 * np.abs(exact).max()


def test_mean_before_scale() -> None:
    to = contract(
        (45, 60), mean=(104.0, 117.0, 123.0), std=(1.0,) * 3, scale=0.017, order="mean_first"
    )
    exact = (picture() - np.array(to.mean)) * 0.017
    assert np.abs(prepare(picture(), to) - exact.transpose(2, 0, 1)).max() < 1e-6


@pytest.mark.parametrize(("height", "width"), [(45, 60), (60, 45), (33, 33), (20, 100)])
def test_short_side_and_centre_crop_are_torchvisions(height: int, width: int) -> None:
    """Resize(24), CenterCrop(20) of torchvision, written out."""
    pixels = picture(height, width)
    resize = Resize(rule="short_side", size=(24, 24))
    found = fit(pixels, contract((20, 20), resize=resize, crop="centre"))
    short, long = min(height, width), max(height, width)
    sides = (24, int(24 * long / short)) if height <= width else (int(24 * long / short), 24)
    assert resized_size((height, width), resize) == sides
    resized = Image.fromarray(pixels).resize(sides[::-1], Image.Resampling.BILINEAR)
    top, left = round((sides[0] - 20) / 2.0), round((sides[1] - 20) / 2.0)
    assert np.array_equal(found, np.asarray(resized)[top : top + 20, left : left + 20])


def test_padding_centres_the_image_on_the_background() -> None:
    pixels = np.full((10, 40, 3), 99, np.uint8)
    resize = Resize(rule="pad", size=(20, 20))
    found = fit(pixels, contract((20, 20), resize=resize, background=(1, 2, 3)))
    assert (found[:7] == (1, 2, 3)).all() and (found[12:] == (1, 2, 3)).all()
    assert (found[7:12] == 99).all()
    swapped = fit(pixels, contract((20, 20), "bgr", resize=resize, background=(1, 2, 3)))
    assert swapped[0, 0].tolist() == [3, 2, 1]
    grey = fit(pixels[..., :1], contract((20, 20), "grey", resize=resize, background=(0, 255, 0)))
    assert grey[0, 0].tolist() == [150]


def test_a_frame_never_enlarges() -> None:
    """MNIST's 28x28 in LeNet-5's 32x32: two pixels of background all around."""
    pixels = np.full((28, 28, 1), 200, np.uint8)
    frame = Resize(rule="frame", size=(32, 32))
    framed = contract((32, 32), "grey", resize=frame, background=(0, 0, 0))
    found = fit(pixels, framed)
    assert (found[2:30, 2:30] == 200).all() and found.sum() == 200 * 28 * 28
    large = fit(np.full((64, 16, 1), 200, np.uint8), framed)  # but it does scale down
    assert (large[:, 12:20] == 200).all() and large.sum() == 200 * 32 * 8


def test_an_image_that_fits_is_left_alone() -> None:
    pixels = picture()
    for resize in (Resize(), Resize(rule="exact", size=(45, 60))):
        to = contract((45, 60), resize=resize)
        assert fits((45, 60), to) and not fits((44, 60), to)
        assert np.array_equal(fit(pixels, to), pixels)


@pytest.mark.parametrize("crop", ["none", "centre"])
def test_an_image_of_another_size_is_refused(crop: Any) -> None:
    with pytest.raises(
        ContractError, match=r"^Expected an image of 50x50 pixels, received 45x60; "
    ):
        fit(picture(), contract((50, 50), crop=crop))


def test_a_sliver_is_refused_before_it_grows_to_gigabytes() -> None:
    asked = contract((224, 224), resize=Resize(rule="short_side", size=(224, 224)), crop="centre")
    with pytest.raises(ContractError, match=r"1x200000, .* 224x44800000\. .* a sliver"):
        fit(np.zeros((1, 200_000, 3), np.uint8), asked)
    asked = contract((20_000, 20_000), resize=Resize(rule="exact", size=(20_000, 20_000)))
    with pytest.raises(ContractError, match=r"makes 20000x20000\. Choose a smaller size\.$"):
        fit(picture(), asked)


@given(
    st.integers(1, 60),
    st.integers(1, 60),
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from(["exact", "short_side", "pad", "frame"]),
)
def test_every_image_comes_to_size(
    height: int, width: int, tall: int, wide: int, rule: Any
) -> None:
    to = contract((tall, wide), resize=Resize(rule=rule, size=(tall, wide)), crop="centre")
    assert fit(picture(height, width), to).shape == (tall, wide, 3)
