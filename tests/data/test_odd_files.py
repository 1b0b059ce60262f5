"""What a disk may hold under an image's name: pipes, devices, names that are no UTF-8."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from striate import data
from striate.data.health import examine, page
from striate.errors import DataError
from striate.records import to_json

MakeFolder = Callable[..., Path]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_is_no_regular_file_is_skipped_and_never_waited_for(make_folder: MakeFolder) -> None:
    root = make_folder(cat=2, dog=1)
    os.mkfifo(root / "cat" / "pipe.jpg")
    (root / "cat" / "endless.png").symlink_to("/dev/zero")
    (root / "dog" / "linked.png").symlink_to(root / "cat" / "0.png")
    dataset = data.open(root)
    assert dataset.parts["all"].ids == ["cat/0.png", "cat/1.png", "dog/0.png", "dog/linked.png"]
    assert [Path(one.path).name for one in dataset.skipped] == ["endless.png", "pipe.jpg"]
    assert all(f"{one.path} is no regular file" in one.reason for one in dataset.skipped)
    with pytest.raises(DataError, match="neither a file nor a folder"):
        data.open(root / "cat" / "pipe.jpg")


def test_names_that_are_no_utf8_are_spelled(make_folder: MakeFolder) -> None:
    root = make_folder(a=2, b=2)
    stray = os.fsencode(root) + b"/caf\xe9"
    try:
        os.rename(root / "b", stray)
        os.rename(stray + b"/0.png", stray + b"/\xff.png")
    except OSError:
        pytest.skip("this disk takes no such names")
    Path(os.fsdecode(stray), "bad.png").write_bytes(b"")
    dataset = data.open(root)
    assert [one.id for one in dataset.classes] == ["a", r"caf\xe9"]
    assert dataset.parts["all"].ids[2:] == [r"caf\xe9/1.png", r"caf\xe9/\xff.png"]
    assert dataset.skipped[0].path == rf"{root}/caf\xe9/bad.png" in dataset.skipped[0].reason
    html = page(examine(dataset), dataset).encode().decode()
    assert r"<td>caf\xe9</td>" in html
    to_json([data.split(dataset, test=0.5, validation=0).document(), examine(dataset)])
    packed = data.pack(dataset, root.with_suffix(".pack"))
    assert data.open(packed.path).parts["all"].ids == dataset.parts["all"].ids
    with pytest.raises(DataError, match=r"Expected a path in UTF-8.*caf.xe9: rename"):
        data.open(os.fsdecode(stray), unsorted=True)
