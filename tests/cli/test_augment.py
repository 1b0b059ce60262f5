"""`striate augment`: what is drawn, and what is said where nothing can be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_the_sheet_names_what_mixes_images(
    run: Callable[..., Any], tmp_path: Path, kind: str
) -> None:
    out = tmp_path / "sheet.svg"
    made = ("--set", f"objective={kind}", "--set", "augmentation=[]", "--images", 2, "--out", out)
    ended = run("augment", "digits", *made, "--json")
    assert ended.code == 0 and json.loads(ended.out)["objective"]["kind"] == kind
    assert f"What is changed: {kind.title()}<" in out.read_text()


def test_a_picture_of_another_kind_is_refused(run: Callable[..., Any], tmp_path: Path) -> None:
    ended = run("augment", "digits", "--out", tmp_path / "sheet.bmp")
    assert ended.code == 2 and "Traceback" not in ended.err
    assert "Expected a picture's path that ends in .png or .svg" in ended.err
