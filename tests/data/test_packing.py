from __future__ import annotations

import io
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate import data
from striate.contract import Contract
from striate.data import packing
from striate.data.packed import FIRST, HEAD, read_header
from striate.errors import DataError, UsageError

CHANCE = np.random.default_rng(0)


def photo(height: int, width: int, channels: int = 3) -> Image.Image:
    small = CHANCE.integers(0, 256, (height // 8 + 1, width // 8 + 1, channels), np.uint8)
    pixels = small if channels == 3 else small[..., 0]
    return Image.fromarray(pixels).resize((width, height))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("photos")
    for number in range(12):
        path = place / ("train", "test")[number % 3 == 2] / "cat dog".split()[number % 2]
        path.mkdir(parents=True, exist_ok=True)
        size = (40 + 3 * number, 64)
        if number == 4:
            photo(*size, channels=1).save(path / f"{number}.png")
        else:
            photo(*size).save(path / f"{number}.jpg", quality=90)
    return place


def contract_of(dataset: data.Dataset) -> Contract:
    return Contract(
        classes=dataset.classes, channels="rgb", size=(32, 32), mean=(0.5,) * 3, std=(0.2,) * 3
    )


@pytest.mark.parametrize("form", ["raw", "jpeg"])
def test_a_packed_folder_is_the_folder(folder: Path, tmp_path: Path, form: packing.Form) -> None:
    source = data.open(folder)
    found = data.pack(source, tmp_path / "photos.pack", size=None, form=form, quality=100)
    packed = data.open(found.path)
    contract = contract_of(source)
    assert packed.classes == source.classes and list(packed.parts) == list(source.parts)
    for name, samples in source.parts.items():
        there = packed.parts[name]
        assert there.ids == samples.ids and (there.labels == samples.labels).all()
        assert (there.sizes == samples.sizes).all() and (there.grey == samples.grey).all()
        for index in range(len(samples)):
            assert there.content_hash(index) == samples.content_hash(index)
            before, after = samples.pixels(index, contract), there.pixels(index, contract)
            lossless = form == "raw" or samples.ids[index].endswith("jpg")  # bytes are kept
            assert np.abs(before.astype(int) - after).max() <= (0 if lossless else 3)


def test_the_short_side_is_scaled_as_pillow_does(folder: Path, tmp_path: Path) -> None:
    source = data.open(folder)
    data.pack(source, tmp_path / "small.pack", size=32)
    samples = data.open(tmp_path / "small.pack").parts["train"]
    with Image.open(folder / samples.ids[0]) as image:
        height, width = samples.sizes[0].tolist()
        expected = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    assert min(height, width) == 32
    assert (samples.stored(0) == expected).all()


def test_small_images_are_not_enlarged(tmp_path: Path) -> None:
    digits = data.open("digits")
    data.pack(digits, tmp_path / "digits.pack", size=256)
    packed = data.open(tmp_path / "digits.pack")
    contract = Contract(
        classes=digits.classes, channels="grey", size=(8, 8), mean=(0.0,), std=(1.0,)
    )
    assert packed.channels == "grey"
    stack = packed.parts["all"].stacked(contract)
    assert stack is not None and (stack == digits.parts["all"].stacked(contract)).all()


def test_batches_from_a_subset_equal_those_from_files(folder: Path, tmp_path: Path) -> None:
    source = data.open(folder)
    data.pack(source, tmp_path / "photos.pack", size=None)
    packed = data.open(tmp_path / "photos.pack")
    chosen = [5, 0, 3]
    batches = [
        next(
            data.Loader(
                each.parts["train"].subset(chosen),
                contract_of(source),
                batch=3,
                seed=0,
                augmentation=(data.RandomResizedCrop(), data.Flip()),
                shuffle=True,
            ).epoch(1)
        )
        for each in (source, packed)
    ]
    assert (batches[0].images == batches[1].images).all()
    assert (batches[0].labels == batches[1].labels).all()


@pytest.fixture
def packed(folder: Path, tmp_path: Path) -> Path:
    data.pack(data.open(folder), tmp_path / "photos.pack", size=32)
    return tmp_path / "photos.pack"


def test_each_byte_is_refused_when_it_is_changed(folder: Path, tmp_path: Path) -> None:
    packed = tmp_path / "photos.pack"
    data.pack(data.open(folder), packed, size=4)
    content = packed.read_bytes()
    place, length = HEAD.unpack(content[: HEAD.size])[3:5]
    assert place + length == len(content) < 12_000
    with packed.open("r+b", buffering=0) as file:
        for where, byte in enumerate(content):
            file.seek(where)
            file.write(bytes([byte ^ (1 << where % 8)]))
            with pytest.raises(DataError, match=r"photos\.pack"):
                data.verify_packed(packed)
            if where < FIRST or where >= place:  # whatever the file's size, when it is opened
                with pytest.raises(DataError, match=r"photos\.pack"):
                    read_header(packed)
            file.seek(where)
            file.write(bytes([byte]))
    assert data.verify_packed(packed).images == 12


def test_an_altered_image_is_named_at_its_first_use(
    packed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("striate.data.packed._AT_ONCE", 0)  # as for a file that is large
    content = bytearray(packed.read_bytes())
    first = read_header(packed).parts[0]
    content[first.places[2][0] + 7] ^= 128
    packed.write_bytes(content)
    samples = data.open(packed).parts["train"]
    samples.stored(1)
    with pytest.raises(DataError, match=f"altered: {first.ids[2]} has another checksum"):
        samples.stored(2)
    with pytest.raises(DataError, match="altered"):
        data.verify_packed(packed)


@pytest.mark.parametrize("kept", [10, 64, 5000, -1])
def test_a_cut_file_is_refused(packed: Path, kept: int) -> None:
    packed.write_bytes(packed.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"cut short|no packed file|not data"):
        data.open(packed)


def test_a_file_of_a_later_version_is_refused_with_both_versions(packed: Path) -> None:
    content = bytearray(packed.read_bytes())
    content[8:12] = struct.pack("<I", 7)
    packed.write_bytes(content)
    with pytest.raises(DataError, match="has format 7; this striate reads up to 1"):
        data.open(packed)


def test_a_file_that_is_there_is_kept(packed: Path, folder: Path) -> None:
    with pytest.raises(UsageError, match="already there"):
        data.pack(data.open(folder), packed)


def test_an_interrupted_call_goes_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "_AT_ONCE", 2)
    source, make, made = data.open(folder), packing._make, []

    def failing(samples: data.Samples, index: int, *rest: object) -> object:
        made.append(index)
        if len(made) == 7:
            raise KeyboardInterrupt
        return make(samples, index, *rest)  # type: ignore[arg-type]

    with monkeypatch.context() as broken:
        broken.setattr(packing, "_make", failing)
        with pytest.raises(KeyboardInterrupt):
            data.pack(source, tmp_path / "a.pack", size=32)
    assert not (tmp_path / "a.pack").exists()
    partial = tmp_path / ".a.pack.packing"
    with pytest.raises(DataError, match="no packed file|not data"):
        data.open(partial)
    assert data.pack(source, tmp_path / "a.pack", size=32).resumed == 6
    data.pack(source, tmp_path / "b.pack", size=32)
    assert (tmp_path / "a.pack").read_bytes() == (tmp_path / "b.pack").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pack", "b.pack"]


def test_other_settings_begin_anew(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = data.open(folder)
    with monkeypatch.context() as broken:
        broken.setattr(packing, "_header", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            data.pack(source, tmp_path / "a.pack", size=32)
    assert data.pack(source, tmp_path / "a.pack", size=24).resumed == 0


@pytest.mark.skipif(os.name == "nt", reason="processes are killed by a signal")
def test_what_a_killed_process_leaves_is_no_packed_file(folder: Path, tmp_path: Path) -> None:
    script = (
        "import time\nfrom striate import data\nfrom striate.data import packing as pack\n"
        "pack._AT_ONCE = 1\nmake = pack._make\n"
        "def slow(*given):\n    time.sleep(0.2)\n    return make(*given)\n"
        f"pack._make = slow\ndata.pack(data.open({str(folder)!r}), {str(tmp_path / 'a.pack')!r})\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    journal = tmp_path / ".a.pack.journal"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if journal.exists() and journal.read_bytes().count(b"]\n") >= 2:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "a.pack").exists()
    assert data.pack(data.open(folder), tmp_path / "a.pack").resumed >= 2
    assert len(data.open(tmp_path / "a.pack").parts["test"]) == 4


def test_exif_is_resolved_before_pixels_are_packed(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in "ab":
        (tmp_path / "data" / name).mkdir(parents=True)
        content = io.BytesIO()
        photo(24, 40).save(content, "JPEG", exif=exif)
        (tmp_path / "data" / name / "0.jpg").write_bytes(content.getvalue())
    source = data.open(tmp_path / "data")
    for form in ("raw", "jpeg"):
        data.pack(source, tmp_path / form, size=None, form=form)  # type: ignore[arg-type]
        packed = data.open(tmp_path / form).parts["all"]
        assert packed.sizes[0].tolist() == [40, 24]
        assert (packed.stored(0) == source.parts["all"].stored(0)).all()
