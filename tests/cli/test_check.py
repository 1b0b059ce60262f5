"""`striate check`: its document, its text, its exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

FIELDS = {"check", "measured", "expected", "band", "verdict", "meaning", "fix"}


def test_healthy_data_and_network(run: Callable[..., Any]) -> None:
    ended = run("check", "digits", "--json")
    document = json.loads(ended.out)
    assert ended.code == 0 and document["verdict"] in ("pass", "warn")
    assert document["data"]["classes"] == 10
    assert all(each.keys() == FIELDS for each in document["preflight"])
    assert "overfits few" in ended.err


def test_a_fault_fails_and_says_what_to_do(run: Callable[..., Any]) -> None:
    ended = run("check", "--set", "preprocessing.mean=[-100]", "--set", "preprocessing.std=[1]")
    assert ended.code == 1
    assert "fail: image statistics: expected channel means near 0" in ended.out
    assert "To do: normalise with the mean and deviation of these images" in ended.out


def test_wrong_usage_is_a_sentence(run: Callable[..., Any]) -> None:
    ended = run("check", "digits", "--net", "resnet21x")
    assert ended.code == 2 and "Did you mean" in ended.err
