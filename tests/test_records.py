"""Records: there and back through JSON, and errors that name the place."""

from __future__ import annotations

import json
import math
from typing import ClassVar, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate import records
from striate.errors import RecordError, StriateError, UnknownName
from striate.records import Family, Record


class Schedule(Family, frozen=True, kw_only=True):
    family: ClassVar[str] = "schedule"


class CosineDecay(Schedule, frozen=True, kw_only=True):
    floor: float = 0.0


class StepDecay(Schedule, frozen=True, kw_only=True):
    at: tuple[float, ...] = ()
    factor: float = 0.1


class Average(Record, frozen=True, kw_only=True):
    decay: float = 0.999


class Plan(Record, frozen=True, kw_only=True):
    name: str
    rate: float
    steps: int = 1
    nesterov: bool = False
    order: Literal["first", "last"] = "first"
    schedule: Schedule = CosineDecay()
    stages: tuple[Schedule, ...] = ()
    pair: tuple[int, int] = (1, 1)
    average: Average | None = None
    weights: dict[str, float] = {}
    size: int | tuple[int, ...] = 3

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"expected steps of at least 1, received steps={self.steps}")


FINITE = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(exclude_categories=("Cs",)))
SCHEDULES = st.builds(CosineDecay, floor=FINITE) | st.builds(
    StepDecay, at=st.lists(FINITE, max_size=3).map(tuple), factor=FINITE
)
PLANS = st.builds(
    Plan,
    name=TEXT,
    rate=FINITE,
    steps=st.integers(1, 2**62),
    nesterov=st.booleans(),
    order=st.sampled_from(["first", "last"]),
    schedule=SCHEDULES,
    stages=st.lists(SCHEDULES, max_size=3).map(tuple),
    pair=st.tuples(st.integers(-9, 9), st.integers(-9, 9)),
    average=st.none() | st.builds(Average, decay=FINITE),
    weights=st.dictionaries(TEXT, FINITE, max_size=3),
    size=st.integers(0, 9) | st.lists(st.integers(0, 9), max_size=3).map(tuple),
)


@given(PLANS)
def test_a_record_survives_json(plan: Plan) -> None:
    for indent in (0, 2):
        text = records.to_json(plan, indent=indent)
        assert records.from_json(Plan, text) == plan
        assert json.loads(text) == records.to_builtins(plan)


@given(PLANS)
def test_the_digest_depends_on_content_alone(plan: Plan) -> None:
    again = records.from_json(Plan, records.to_json(plan, indent=2))
    assert records.digest(again) == records.digest(plan)
    shuffled = dict(reversed(json.loads(records.to_json(plan)).items()))
    assert records.digest(records.decode(Plan, shuffled)) == records.digest(plan)
    assert records.digest(plan.replace(steps=plan.steps + 1)) != records.digest(plan)


def test_written_json_has_no_stray_blanks() -> None:
    text = records.to_json(Plan(name="a", rate=1.0), indent=2).decode()
    assert not [line for line in text.splitlines() if line != line.rstrip()]
    assert b" " not in records.to_json(Plan(name="a", rate=1.0))


def test_a_digest_is_what_it_was() -> None:
    """Digests travel in run folders: a change here orphans every run there is."""
    plan = Plan(name="é", rate=0.1, stages=(StepDecay(at=(0.5,)),))
    assert records.to_json(plan).decode() == (
        '{"average":null,"name":"é","nesterov":false,"order":"first","pair":[1,1],"rate":0.1,'
        '"schedule":{"floor":0.0,"kind":"cosine_decay"},"size":3,'
        '"stages":[{"at":[0.5],"factor":0.1,"kind":"step_decay"}],"steps":1,"weights":{}}'
    )


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_does_not_have_are_refused(bad: float) -> None:
    with pytest.raises(RecordError, match="Expected finite numbers, received Plan"):
        records.to_json(Plan(name="a", rate=bad))


def test_text_that_utf8_does_not_have_is_refused() -> None:
    with pytest.raises(RecordError, match="text that UTF-8 can hold"):
        records.to_json({"file": "caf\udce9.jpg"})


def test_numpy_values_are_written_as_numbers() -> None:
    document = {"a": np.float64(0.5), "b": np.arange(3), "c": np.int64(7)}
    assert records.to_json(document) == b'{"a":0.5,"b":[0,1,2],"c":7}'
    with pytest.raises(RecordError, match="received function"):
        records.to_json({"a": lambda: None})


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("[1, 2", r"^plan.json: expected JSON, received something else"),
        ("[" * 100_000, r"^plan.json: expected JSON"),
        (b"\xff\xfe", r"^plan.json: expected JSON"),
        ("[1, 2]", r"^plan.json: expected Plan, received \[1, 2\]\.$"),
        ('{"rate": 1}', r"^plan.json: Plan lacks name\.$"),
        ('{"name": "a", "rate": 1, "step": 2}', r"no field 'step'\. Did you mean steps"),
        ('{"name": "a", "rate": 1, "zzzz": 2}', r"no field 'zzzz'\. Known: name, rate,"),
        ('{"name": "a", "rate": "1"}', r"^plan.json\.rate: expected a number, received '1'"),
        ('{"name": "a", "rate": NaN}', r"expected JSON"),
        ('{"name": "a", "rate": 1, "steps": 1.5}', r"steps: expected an integer, received 1\.5"),
        ('{"name": "a", "rate": 1, "nesterov": 1}', r"nesterov: expected true or false"),
        ('{"name": "a", "rate": 1, "steps": 0}', r"^plan.json: expected steps of at least 1"),
        ('{"name": "a", "rate": 1, "order": "mid"}', r"expected one of 'first', 'last'"),
        ('{"name": "a", "rate": 1, "pair": [1]}', r"pair: expected 2 items, received 1"),
        ('{"name": "a", "rate": 1, "pair": [1, "x"]}', r"pair\[1\]: expected an integer"),
        ('{"name": "a", "rate": 1, "size": "x"}', r"size: expected an integer or a list"),
        ('{"name": "a", "rate": 1, "schedule": {}}', r"schedule with kind one of cosine_decay, st"),
        ('{"name": "a", "rate": 1, "stages": [{"kind": "step_decay", "on": 1}]}', r"stages\[0\]"),
        ('{"name": "a", "rate": 1, "weights": {"b": "c"}}', r"weights\.b: expected a number"),
    ],
)
def test_an_error_names_the_place_and_what_would_fit(document: str | bytes, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        records.from_json(Plan, document, "plan.json")


def test_an_unknown_kind_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"no schedule named 'cosin_decay'\. Did you mean cosine"):
        records.decode(Plan, {"name": "a", "rate": 1, "schedule": {"kind": "cosin_decay"}})


def test_a_kind_defined_twice_is_a_mistake() -> None:
    class Shape(Family, frozen=True, kw_only=True):
        family: ClassVar[str] = "shape"

    first = type("Round", (Shape,), {}, frozen=True, kw_only=True)
    assert records.kinds(Shape) == {"round": first}
    second = type("Round", (Shape,), {}, frozen=True, kw_only=True)
    with pytest.raises(TypeError, match="shape kind 'round' is defined twice"):
        records.kinds(Shape)
    assert second is not first


def test_nearest_names_ignore_case() -> None:
    assert records.nearest("RESNET5", ["resnet20", "resnet50", "vgg16"])[0] == "resnet50"
    assert records.nearest("zzz", ["resnet20"]) == ()
    assert records.nearest("", ["resnet20"]) == ()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("tiny", ("tiny_images",)),  # its beginning
        ("cifar", ("resnet20_cifar10",)),  # a part of it
        ("tiny_images_for_digits", ("tiny_images",)),  # the other way round
        ("photogaphs", ("photographs",)),  # misspelled
    ],
)
def test_nearest_finds_beginnings_and_parts(name: str, meant: tuple[str, ...]) -> None:
    known = ["auto", "resnet20_cifar10", "photographs", "tiny_images", "small_images"]
    assert records.nearest(name, known) == meant


# -- key=value


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        (["rate=0.5"], {"rate": 0.5}),
        (["rate=1"], {"rate": 1.0}),
        (["name=plain words"], {"name": "plain words"}),
        (["name=a=b"], {"name": "a=b"}),
        (['name="7"'], {"name": "7"}),
        (["schedule=step_decay"], {"schedule": StepDecay()}),
        (["schedule=step_decay", "schedule.factor=0.5"], {"schedule": StepDecay(factor=0.5)}),
        (["stages.0.factor=0.5"], {"stages": (StepDecay(factor=0.5), CosineDecay())}),
        (["stages=[]"], {"stages": ()}),
        (["average={}"], {"average": Average()}),
        (['average={"decay": 0.9}', "average.decay=0.5"], {"average": Average(decay=0.5)}),
        (["average=null"], {"average": None}),
        (["pair=[3, 4]"], {"pair": (3, 4)}),
        (["pair.1=4"], {"pair": (1, 4)}),
        (["weights.a=2"], {"weights": {"a": 2.0}}),
        (["nesterov=true"], {"nesterov": True}),
        ([" rate =2"], {"rate": 2.0}),
    ],
)
def test_settings_change_a_record(settings: list[str], changes: dict[str, object]) -> None:
    plan = Plan(name="a", rate=1.0, stages=(StepDecay(), CosineDecay()), weights={"a": 1.0})
    assert records.with_settings(plan, settings) == plan.replace(**changes)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("rate", "Expected key=value, received 'rate'"),
        ("=1", "Expected key=value"),
        ("rat=1", "no setting named 'rat'. Did you mean rate?"),
        ("stages.0.factr=1", "no setting named 'stages.0.factr'. Did you mean factor?"),
        ("stages.7=1", "expected a position below 1, received '7'"),
        ("average.decay=1", "average is None; it has no field 'decay'"),
        ("rate.x=1", "rate is 1.0; it has no field 'x'"),
        ("rate=fast", "recipe.rate: expected a number, received 'fast'"),
        ("rate=NaN", "recipe.rate: expected a number, received 'NaN'"),
        ("schedule=cosine", "no schedule named 'cosine'. Did you mean cosine_decay?"),
        ("steps=0", "expected steps of at least 1"),
        ("weights.b=1", "no setting named 'weights.b'"),
        ("stages=step_decay", 'a list in JSON, for example [{"kind": "cosine_decay"}], received'),
        ("stages=[{kind:step_decay}]", 'for example [{"kind": "cosine_decay"}], received'),
        ("pair=3", "expected a list of 2 in JSON, for example [8, 8], received 3."),
        ("size=wide", "expected an integer or a list in JSON, for example [8], received 'wide'."),
    ],
)
def test_a_bad_setting_is_one_sentence(setting: str, message: str) -> None:
    plan = Plan(name="a", rate=1.0, stages=(StepDecay(),), weights={"a": 1.0})
    with pytest.raises(StriateError) as caught:
        records.with_settings(plan, [setting])
    assert message in str(caught.value)
