"""Every mode and format of image file, and every way in which one can be bad."""

from __future__ import annotations

import importlib
import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageOps

from striate.contract import Class, Contract
from striate.data.decode import MOST_PIXELS, Decoding, decode, decode_as
from striate.errors import DataError

Pixels = npt.NDArray[np.uint8]


def contract(**changes: Any) -> Contract:
    fields: dict[str, Any] = {"channels": "rgb", "mean": (0.0,) * 3, "std": (1.0,) * 3, **changes}
    if fields["channels"] == "grey":
        fields |= {"mean": (0.0,), "std": (1.0,)}
    return Contract(classes=(Class(id="a", label="a"),), size=(8, 8), **fields)


def picture(height: int = 9, width: int = 7) -> Image.Image:
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "WEBP", "PPM", "TGA", "ICO"])
def test_lossless_formats_come_back_exactly(format: str) -> None:
    image = picture(16, 16)
    options = {"lossless": True} if format == "WEBP" else {}
    assert np.array_equal(decode(encoded(image, format, **options), contract()), np.asarray(image))


JPEGS: dict[str, tuple[str, dict[str, Any]]] = {
    "colour": ("RGB", {"quality": 80}),
    "full chroma": ("RGB", {"quality": 95, "subsampling": 0}),
    "half chroma": ("RGB", {"subsampling": 1}),
    "progressive": ("RGB", {"progressive": True}),
    "restarts": ("RGB", {"restart_marker_blocks": 2}),
    "stored as RGB": ("RGB", {"keep_rgb": True}),
    "grey": ("L", {}),
    "CMYK": ("CMYK", {}),
}


@pytest.mark.parametrize("kind", JPEGS)
def test_jpeg_is_pillows(kind: str) -> None:
    mode, options = JPEGS[kind]
    content = encoded(picture(33, 41).convert(mode), "JPEG", **options)
    stored = Image.open(io.BytesIO(content))
    expected = np.asarray(stored.convert("L" if mode == "L" else "RGB"))
    assert np.array_equal(decode_as(content, Decoding()).squeeze(), expected)


@pytest.mark.parametrize("kind", JPEGS)
def test_a_damaged_jpeg_is_taken_or_refused_as_pillow_does(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut short, flipped, longer, with bytes put in: the same pixels or the same sentence."""
    mode, options = JPEGS[kind]
    whole = encoded(picture(33, 41).convert(mode), "JPEG", **options)

    def decline(content: bytes) -> None:
        raise ValueError

    def found(content: bytes) -> list[Any] | str:
        try:
            return decode_as(content, Decoding()).tolist()
        except DataError as error:
            return str(error)

    rng = np.random.default_rng(0)
    for _ in range(60):
        content, place = bytearray(whole), int(rng.integers(1, len(whole)))
        how = rng.integers(4)
        if how == 0:
            del content[place:]
        elif how == 1:
            content[place] ^= 1 << int(rng.integers(8))
        elif how == 2:
            content += rng.bytes(9)
        else:
            content[place:place] = rng.bytes(3)
        quick = found(bytes(content))
        with monkeypatch.context() as patch:
            patch.setattr("simplejpeg.decode_jpeg_header", decline)
            assert found(bytes(content)) == quick


def test_channels_are_the_contracts() -> None:
    content = encoded(picture())
    rgb = decode(content, contract())
    assert np.array_equal(decode(content, contract(channels="bgr")), rgb[..., ::-1])
    grey = decode(content, contract(channels="grey"))
    assert np.array_equal(grey[..., 0], np.asarray(picture().convert("L")))
    one = encoded(picture().convert("L"))
    assert np.array_equal(decode(one, contract(channels="grey")), grey)
    assert np.array_equal(decode(one, contract()), np.repeat(grey, 3, axis=2))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "LAB"])
def test_every_mode_becomes_rgb_as_pillow_has_it(mode: str) -> None:
    image = picture().convert(mode)
    if mode in ("YCbCr", "LAB", "CMYK"):
        content = encoded(image, "TIFF")
    else:
        content = encoded(image)
    stored = Image.open(io.BytesIO(content))
    found = decode(content, contract())
    assert found.shape == (9, 7, 3)
    assert np.array_equal(found, np.asarray(stored.convert("RGB")))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_large_images_are_converted_in_strips(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image.new("I;16", (7, 9), 900) if mode == "I;16" else picture().convert(mode)
    if mode in ("RGBA", "LA"):
        image.putalpha(Image.fromarray(np.arange(63, dtype=np.uint8).reshape(9, 7) * 4))
    content = encoded(image, "TIFF" if mode == "CMYK" else "PNG")
    whole = decode_as(content, Decoding(background=(9, 200, 30)))
    grey = decode(content, contract(channels="grey"))
    module = importlib.import_module("striate.data.decode")  # data.decode is the function
    monkeypatch.setattr(module, "_STRIP", 15)  # two rows and a bit
    assert np.array_equal(decode_as(content, Decoding(background=(9, 200, 30))), whole)
    assert np.array_equal(decode(content, contract(channels="grey")), grey)


def test_cmyk_jpeg() -> None:
    red = Image.new("RGB", (16, 16), (255, 0, 0)).convert("CMYK")
    found = decode(encoded(red, "JPEG", quality=95), contract())
    assert np.abs(found.astype(int) - (255, 0, 0)).max() < 8


def test_what_is_transparent_shows_the_background() -> None:
    rgba = Image.new("RGBA", (4, 2), (200, 100, 50, 0))
    rgba.putpixel((0, 0), (200, 100, 50, 255))
    rgba.putpixel((1, 0), (200, 100, 50, 128))
    found = decode(encoded(rgba), contract(background=(10, 20, 30)))
    assert found[0, 0].tolist() == [200, 100, 50]
    assert np.abs(found[0, 1].astype(int) - (105, 60, 40)).max() <= 1
    assert (found[1] == (10, 20, 30)).all()


def test_transparency_of_palette_and_grey() -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([250, 0, 0, 0, 250, 0])
    palette.putpixel((1, 0), 1)
    found = decode(encoded(palette, transparency=1), contract(background=(1, 2, 3)))
    assert found[0].tolist() == [[250, 0, 0], [1, 2, 3]]
    grey = Image.new("LA", (2, 1), (90, 255))
    grey.putpixel((1, 0), (90, 0))
    found = decode(encoded(grey), contract(channels="grey", background=(40, 40, 40)))
    assert found[0, :, 0].tolist() == [90, 40]
    keyed = encoded(Image.fromarray(np.array([[5, 9]], np.uint8)), transparency=9)
    assert decode(keyed, contract(channels="grey"))[0, :, 0].tolist() == [5, 255]


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bits(format: str) -> None:
    levels = np.array([[0, 255, 256, 1000], [20000, 40000, 65279, 65535]], np.uint16)
    content = encoded(Image.fromarray(levels), format)
    high = decode(content, contract(channels="grey"))[..., 0]
    assert np.array_equal(high, levels >> 8)
    narrow = encoded(Image.fromarray(levels // 64 + 100), format)
    assert decode(narrow, contract(channels="grey")).max() <= 4
    scaled = decode(narrow, contract(channels="grey", sixteen_bit="scale"))[..., 0]
    assert scaled.min() == 0 and scaled.max() == 255
    assert np.array_equal(scaled, np.rint(((levels // 64) / (65535 // 64)) * 255))
    assert decode(narrow, contract()).shape == (2, 4, 3)


def test_sixteen_bit_colour_keeps_the_high_byte() -> None:
    rows = b"\0" + struct.pack(">6H", 0x1234, 0x56FF, 0xFF00, 0x00FF, 0x8000, 0x7FFF)

    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + checksum

    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(*each) for each in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    )
    assert decode(content, contract())[0].tolist() == [[0x12, 0x56, 0xFF], [0x00, 0x80, 0x7F]]


def test_grey_over_a_grey_background_stays_grey() -> None:
    content = encoded(Image.fromarray(np.array([[[200, 0]]], np.uint8), "LA"))
    assert decode_as(content, Decoding()).tolist() == [[[255]]]
    assert decode_as(content, Decoding(background=(9, 8, 7))).tolist() == [[[9, 8, 7]]]


def test_thirty_two_bits_that_hold_sixteen_are_on_the_same_scale() -> None:
    levels = np.array([[0, 255, 256, 40000, 65535]], np.int32)
    narrow = encoded(Image.fromarray(levels.astype(np.uint16)), "TIFF")
    for format in ("TIFF", "PPM"):
        content = encoded(Image.fromarray(levels), format)
        for rule in ("high_byte", "scale"):
            as_is = contract(channels="grey", sixteen_bit=rule)
            assert np.array_equal(decode(content, as_is), decode(narrow, as_is))


@pytest.mark.parametrize("levels", [[[-1, 5]], [[0, 65536]], [[0, 2**31 - 1]]])
@pytest.mark.parametrize("rule", ["high_byte", "scale"])
def test_integers_beyond_sixteen_bits_are_refused(levels: list[list[int]], rule: str) -> None:
    content = encoded(Image.fromarray(np.array(levels, np.int32)), "TIFF")
    with pytest.raises(DataError) as caught:
        decode(content, contract(channels="grey", sixteen_bit=rule))
    assert str(caught.value) == (
        "The image has integers that do not fit into 16 bits, and nothing says which one is white; "
        "save it with 8 or 16 bits."
    )


@pytest.mark.parametrize("rule", ["high_byte", "scale"])
def test_floating_point_is_refused(rule: str, tmp_path: Path) -> None:
    path = tmp_path / "float.tif"
    Image.fromarray(np.array([[0.0, 0.5, 1.0]], np.float32)).save(path)
    with pytest.raises(DataError) as caught:
        decode(path, contract(sixteen_bit=rule))
    assert str(caught.value) == (
        f"{path} has floating-point values, and nothing says which one is white; save it with 8 or "
        "16 bits."
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_the_image(orientation: int) -> None:
    image = picture()
    exif = Image.Exif()
    exif[0x0112] = orientation
    for format, options in (("PNG", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"})):
        content = encoded(image, format, exif=exif, **options)
        expected = np.asarray(
            ImageOps.exif_transpose(Image.open(io.BytesIO(encoded(image, exif=exif))))
        )
        assert np.array_equal(decode(content, contract()), expected)
        assert np.array_equal(decode(content, contract(exif=False)), np.asarray(image))


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_exif_turns_a_jpeg(orientation: int, mode: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(picture(40, 24).convert(mode), "JPEG", exif=exif)
    stored = Image.open(io.BytesIO(content))
    found = decode_as(content, Decoding(exif=False))
    assert np.array_equal(found.squeeze(), np.asarray(stored))
    turned = decode_as(content, Decoding())
    assert np.array_equal(turned.squeeze(), np.asarray(ImageOps.exif_transpose(stored)))


def test_the_first_frame_of_several() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ((250, 0, 0), (0, 0, 250))]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(content, contract())[0, 0].tolist() == [250, 0, 0]


@pytest.fixture(params=["JPEG", "PNG", "BMP", "TIFF", "GIF", "WEBP"])
def whole(request: pytest.FixtureRequest) -> bytes:
    return encoded(picture(64, 48), request.param)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.97])
def test_a_file_cut_short_is_refused(whole: bytes, share: float, tmp_path: Path) -> None:
    path = tmp_path / "cut.img"
    path.write_bytes(whole[: max(int(len(whole) * share), 1)])
    with pytest.raises(DataError, match=rf"^{path} is (cut short or damaged|not an image): .+\.$"):
        decode(path, contract())


def test_text_named_jpg(tmp_path: Path) -> None:
    path = tmp_path / "note.jpg"
    path.write_text("not a picture")
    with pytest.raises(
        DataError, match=rf"^{path} is not an image: its content is of no known format\.$"
    ):
        decode(path, contract())


def test_no_bytes(tmp_path: Path) -> None:
    path = tmp_path / "empty.png"
    path.touch()
    with pytest.raises(DataError, match=rf"^{path} is empty \(0 bytes\)\.$"):
        decode(path, contract())


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.png cannot be read: No such file or directory\.$"):
        decode(tmp_path / "gone.png", contract())
    with pytest.raises(DataError, match=r"cannot be read: Is a directory\.$"):
        decode(tmp_path, contract())


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DataError, match=r"secret\.png cannot be read: Permission denied\.$"):
        decode(tmp_path / "secret.png", contract())


@pytest.mark.parametrize("side", [9_500, 20_000])
def test_a_decompression_bomb_is_never_unpacked(side: int, tmp_path: Path) -> None:
    """A few kilobytes that would become hundreds of megabytes."""
    path = tmp_path / "bomb.png"
    Image.new("1", (side, side)).save(path, optimize=True)
    assert side * side > MOST_PIXELS and path.stat().st_size < 100_000
    message = rf"^{path} would unpack to more than 89,478,485 pixels: a decompression bomb\? Where"
    with pytest.raises(DataError, match=message):
        decode(path, contract())


@pytest.mark.parametrize("how", ["error", "always", "default"])
def test_pillows_own_warnings_are_never_heard(how: Any, tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (9_500, 9_500)).save(path)
    odd = encoded(picture(16, 16), "JPEG", exif=b"Exif\0\0" + b"II*\0" + b"\xff" * 40)
    with warnings.catch_warnings(record=True) as heard:
        warnings.resetwarnings()
        warnings.simplefilter(how)
        with pytest.raises(DataError, match="a decompression bomb"):
            decode(path, contract())
        decode(odd, contract())
        filters = list(warnings.filters)
        decode(odd, contract())
    assert not heard
    assert warnings.filters is not filters and len(filters) == 2  # said once, not at every image


def test_a_broken_exif_block_does_not_spoil_the_pixels() -> None:
    content = encoded(picture(16, 16), "JPEG", exif=b"Exif\0\0" + b"II*\0" + b"\xff" * 40)
    assert decode(content, contract()).shape == (16, 16, 3)


def test_damaged_files_give_an_image_or_one_error(whole: bytes) -> None:
    """Bit flips and header edits: an image or a DataError, nothing else and no hang."""
    rng = np.random.default_rng(1)
    for _ in range(60):
        damaged = bytearray(whole)
        for place in rng.integers(0, min(len(damaged), 400), rng.integers(1, 6)):
            damaged[place] ^= 1 << int(rng.integers(8))
        try:
            pixels = decode(bytes(damaged), contract())
        except DataError as error:
            assert str(error).startswith("The image ") and "\n" not in str(error)
        else:
            assert pixels.ndim == 3 and pixels.dtype == np.uint8
