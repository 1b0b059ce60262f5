"""The contract: its arithmetic, its digest, classes by id, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate import records
from striate.contract import Class, Contract, Resize
from striate.errors import ContractError, RecordError, UnknownName

CATS, DOGS, FISH = (Class(id=id, label=id.title()) for id in ("cats", "dogs", "fish"))


def contract(**changes: Any) -> Contract:
    base: dict[str, Any] = {
        "classes": (CATS, DOGS, FISH),
        "channels": "rgb",
        "size": (32, 48),
        "mean": (0.5, 0.4, 0.3),
        "std": (0.2, 0.25, 0.3),
    }
    return Contract(**(base | changes))


def test_it_survives_json() -> None:
    one = contract(resize=Resize(rule="short_side", size=(36, 52)), crop="centre")
    again = records.from_json(Contract, records.to_json(one))
    assert again == one
    assert again.digest == one.digest


def test_shape_follows_the_channels() -> None:
    assert contract().shape == (3, 32, 48)
    grey = contract(channels="grey", mean=(0.5,), std=(1.0,))
    assert grey.shape == (1, 32, 48)


def test_another_size_is_resized_in_proportion() -> None:
    one = contract(resize=Resize(rule="short_side", size=(36, 54)), crop="centre")
    assert one.with_size(one.size) is one
    other = one.with_size((16, 24))
    assert (other.size, other.resize.size) == ((16, 24), (18, 27))
    assert contract().with_size((16, 16)).shape == (3, 16, 16)


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": (DOGS, CATS, FISH)},
        {"channels": "bgr"},
        {"size": (32, 49)},
        {"mean": (0.5, 0.4, 0.30000000000000004)},
        {"exif": False},
        {"resize": Resize(rule="exact", size=(32, 48), filter="bicubic")},
        {"order": "mean_first"},
        {"background": (255, 255, 254)},
    ],
)
def test_every_difference_changes_the_digest(changes: dict[str, Any]) -> None:
    assert contract(**changes).digest != contract().digest


@given(
    st.sampled_from(["scale_first", "mean_first"]),
    st.floats(1e-3, 2.0),
    st.lists(st.floats(-200, 200), min_size=3, max_size=3).map(tuple),
    st.lists(st.floats(0.01, 100), min_size=3, max_size=3).map(tuple),
)
def test_one_multiply_add_is_the_written_formula(
    order: str, scale: float, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    one = contract(order=order, scale=scale, mean=mean, std=std)
    pixels = np.arange(256.0)[:, None]
    if order == "scale_first":
        expected = (pixels * scale - mean) / std
    else:
        expected = (pixels - mean) * scale / std
    received = pixels * one.forward.slope + one.forward.offset
    np.testing.assert_allclose(received, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())
    back = received * one.inverse.slope + one.inverse.offset
    np.testing.assert_allclose(back, np.repeat(pixels, 3, axis=1), atol=1e-5)


def test_classes_are_matched_by_id_never_by_order() -> None:
    assert contract().match((FISH, CATS, DOGS)) == (2, 0, 1)
    assert contract().match((FISH,)) == (2,)
    assert contract().match((Class(id="fish", label="poisson"),)) == (2,)


def test_a_stranger_is_named_and_so_is_what_is_absent() -> None:
    with pytest.raises(ContractError) as caught:
        contract().match((CATS, Class(id="fishes", label="Fish")))
    assert str(caught.value) == (
        "The network was not trained for 'fishes'; without images here: 'dogs', 'fish'. "
        "It knows 3 classes, the data has 2. Did you mean 'fish' by 'fishes'? Rename the folder "
        "(or label) as the network knows it, or leave it out."
    )


def test_a_strangers_nearest_name_is_said_however_many_are_absent() -> None:
    fruit = ["Apple", "Banana", "Carrot", "Fig", "Grape", "Lemon", "Vine tomato", "Zucchini"]
    one = contract().replace(classes=tuple(Class(id=each, label=each) for each in fruit))
    with pytest.raises(ContractError) as caught:
        one.match((Class(id="Apple", label="Apple"), Class(id="Tomato", label="Tomato")))
    assert "and 2 more" in str(caught.value) and "Vine tomato" in str(caught.value)
    assert str(caught.value).endswith(
        "Did you mean 'Vine tomato' by 'Tomato'? Rename the folder (or label) as the network knows "
        "it, or leave it out."
    )
    wordnet = one.replace(classes=(Class(id="n01440764", label="tench"), *one.classes[1:]))
    with pytest.raises(ContractError, match="Did you mean 'n01440764' by 'tench'"):
        wordnet.match((Class(id="tench", label="tench"),))
    with pytest.raises(ContractError, match=r"has 1\. Rename the folder"):
        one.match((Class(id="Xylophon", label="Xylophon"),))


def test_many_strangers_are_counted() -> None:
    many = tuple(Class(id=f"n{index}", label="") for index in range(40))
    with pytest.raises(ContractError, match="'n4' and 35 more"):
        contract().match(many)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ()}, "at least one class"),
        ({"classes": (CATS, DOGS, CATS)}, "every class id once, received 'cats' twice"),
        ({"size": (0, 5)}, r"at least 1x1 pixels, received size=\(0, 5\)"),
        ({"mean": (0.5,)}, "3 values of mean for channels='rgb', received 1"),
        ({"std": (0.5, 0.5)}, "3 values of std for channels='rgb', received 2"),
        ({"std": (0.5, 0.0, 0.5)}, "positive scale and std"),
        ({"scale": 0.0}, "positive scale and std"),
        ({"whitening": "matrix"}, "without the mean image: name that too"),
        ({"background": (0, 0, 256)}, "levels of 0 to 255"),
        ({"resize": Resize(rule="short_side", size=(32, 48))}, "needs crop='centre'"),
        ({"resize": Resize(rule="exact", size=(64, 64))}, "Without a crop the resize has to meet"),
        (
            {"resize": Resize(rule="short_side", size=(16, 48)), "crop": "centre"},
            "does not fit into the resized image",
        ),
        ({"version": 2}, "has format 2; this striate reads up to 1"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ContractError, match=message):
        contract(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"size": (1, 1)},
        {"background": (0, 255, 0)},
        {"scale": 1e-9, "std": (1e-9, 1.0, 1.0)},
        {"resize": Resize(rule="short_side", size=(32, 48)), "crop": "centre"},
        {"resize": Resize(rule="exact", size=(32, 48))},
        {"resize": Resize(rule="pad", size=(32, 48))},
        {"resize": Resize(rule="exact", size=(33, 48)), "crop": "centre"},
        {"mean_image": "mean", "whitening": "matrix"},
        {"mean_image": "mean"},
    ],
    ids=str,
)
def test_what_just_can_be_is_taken(changes: dict[str, Any]) -> None:
    made = contract(**changes)
    assert {name: getattr(made, name) for name in changes} == changes


@pytest.mark.parametrize("background", [(256, 0, 0), (0, -1, 0), (0, 0, 999)])
def test_levels_beyond_a_byte_are_refused(background: tuple[int, int, int]) -> None:
    with pytest.raises(ContractError, match="levels of 0 to 255"):
        contract(background=background)


@pytest.mark.parametrize("size", [(31, 48), (32, 47), (16, 16)])
def test_a_crop_larger_than_the_image_is_refused_along_either_side(size: tuple[int, int]) -> None:
    with pytest.raises(ContractError, match="does not fit into the resized image"):
        contract(resize=Resize(rule="short_side", size=size), crop="centre")


def test_what_is_not_said_is_what_it_always_was() -> None:
    """Contracts in run folders leave nothing out, but those written by hand and by others do."""
    assert records.to_builtins(contract(resize=Resize(rule="exact", size=(32, 48)))) == {
        "version": 1,
        "classes": [{"id": each.id, "label": each.label} for each in (CATS, DOGS, FISH)],
        "output": "logits",
        "channels": "rgb",
        "size": [32, 48],
        "resize": {
            "rule": "exact",
            "size": [32, 48],
            "filter": "bilinear",
            "antialias": True,
            "arithmetic": "uint8",
        },
        "crop": "none",
        "exif": True,
        "background": [255, 255, 255],
        "sixteen_bit": "high_byte",
        "scale": 1 / 255,
        "mean": [0.5, 0.4, 0.3],
        "std": [0.2, 0.25, 0.3],
        "order": "scale_first",
        "mean_image": None,
        "whitening": None,
    }
    assert Resize() == Resize(rule="none", size=(0, 0))


@pytest.mark.parametrize("size", [(0, 0), (0, 7), (7, 0), (-1, 3)])
def test_a_resize_to_nothing_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ContractError, match="at least 1x1 pixels"):
        Resize(rule="pad", size=size)
    assert Resize(rule="pad", size=(1, 1)).size == (1, 1)


def test_a_class_is_found_by_id_or_label() -> None:
    one = contract(classes=(Class(id="n01", label="Tench"), Class(id="n02", label="Shark")))
    assert [one.index(name) for name in ("n01", "Tench", "n02", "Shark")] == [0, 0, 1, 1]
    with pytest.raises(UnknownName) as caught:
        one.index("Shrak")
    assert "Shark" in str(caught.value) and "Known: Tench, Shark." in str(caught.value)


def test_of_many_classes_thirty_are_named() -> None:
    def known(count: int) -> str:
        one = contract(classes=tuple(Class(id=f"n{i}", label=f"L{i}") for i in range(count)))
        with pytest.raises(UnknownName) as caught:
            one.index("zebra")
        return str(caught.value)

    assert known(30).endswith("L28, L29.")
    assert known(32).endswith("L28, L29 and 2 more.")


def test_numbers_as_classes_are_told_what_would_name_them() -> None:
    digits = tuple(Class(id=str(i), label=str(i)) for i in range(3))
    with pytest.raises(ContractError, match="Numbers are matched with nothing: give the data nam"):
        contract().match(digits)
    for strangers in ((*digits, Class(id="3", label="3")), (Class(id="a", label="0"), *digits[:2])):
        with pytest.raises(ContractError) as caught:
            contract().match(strangers)
        assert "Numbers" not in str(caught.value)


def test_five_strangers_are_named_and_a_sixth_is_counted() -> None:
    many = [Class(id=f"n{index}", label="") for index in range(6)]
    for count, said in ((5, "'n3', 'n4'; without"), (6, "'n4' and 1 more; without")):
        with pytest.raises(ContractError) as caught:
            contract().match(many[:count])
        assert said in str(caught.value)


def test_an_unknown_rule_lists_those_there_are() -> None:
    document = records.to_builtins(contract()) | {"crop": "center"}
    with pytest.raises(RecordError, match="crop: expected one of 'centre', 'none'"):
        records.decode(Contract, document)
