"""`key=value` changes to a recipe, and what to say to somebody who knows the key by another name.

`records.with_settings` knows the fields of any record; here are the words that other libraries use
for a recipe's, and the options that decide what no setting can.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import get_args, get_origin

from striate.design.centred import centred
from striate.errors import RecordError, UnknownName, UsageError
from striate.records import Family, Record, field_hints, kinds, nearest, with_settings
from striate.train import Recipe
from striate.wording import quoted

# What no field alone decides: network, preprocessing and classes have to fit together.
_OPTIONS = {
    "network": "--net",
    "net": "--net",
    "model": "--net",
    "recipe": "--recipe",
    "size": "--size",
    "image_size": "--size",
    "preprocessing.size": "--size",
    "out": "--out",
    "data.path": "striate train",
}
_LONGEST = 0.3  # of the epochs, that a warm-up may take unasked
ALSO_CALLED = {
    "lr": "optimiser.rate",
    "learning_rate": "optimiser.rate",
    "weight_decay": "optimiser.decay",
    "wd": "optimiser.decay",
    "l2": "optimiser.decay",
    "optimizer": "optimiser",
    "scheduler": "schedule",
    "lr_schedule": "schedule",
    "warmup": "warmup_epochs",
    "batch_size": "batch",
    "loss": "objective",
    "transforms": "augmentation",
    "augment": "augmentation",
    "num_workers": "workers",
    "num_epochs": "epochs",
    "grad_clip": "clip",
    "amp": "precision",
    "dtype": "precision",
}


def check(settings: Iterable[str]) -> None:
    """Refuse what is wrong with settings whatever the recipe: no `=`, an option, no such field.

    Raises:
        RecordError: no `key=value`.
        UsageError: an option decides this.
        UnknownName: a recipe has no such field; carries what may have been meant.
    """
    for setting in settings:
        key, equals, value = setting.partition("=")
        key = key.strip()
        if not equals or not key:
            raise RecordError(f"Expected key=value, received {setting!r}.")
        if key in _OPTIONS:
            instead = f"{_OPTIONS[key]} {quoted(value.strip('[]'))}"
            raise UsageError(f"Instead of --set {key}=..., say {instead}")
        if key.startswith("preprocessing.size."):
            raise UsageError(f"Instead of --set {key}=..., say --size HxW")
        if key.partition(".")[0] not in Recipe.__struct_fields__:
            near = _meant(key)
            hint = "" if near else f"Known: {', '.join(Recipe.__struct_fields__)}."
            raise UnknownName("setting", key, near, hint)


def apply(recipe: Recipe, settings: Iterable[str]) -> Recipe:
    """Return a recipe changed by settings, in order.

    A warm-up that nobody asked for keeps its share of the epochs where, of fewer, it would take
    more than 0.3.

    Raises:
        RecordError, UsageError, UnknownName: as for `check`, or a value does not fit.
    """
    settings, given = list(settings), recipe
    for setting in settings:
        check([setting])
        try:
            recipe = with_settings(recipe, [setting])
        except UnknownName as error:
            near = _meant(error.name) if error.what == "setting" else ()
            if not near:
                raise
            raise UnknownName("setting", error.name, near) from error
    asked = any(setting.partition("=")[0].strip() == "warmup_epochs" for setting in settings)
    if not asked and recipe.warmup_epochs > _LONGEST * recipe.epochs:
        share = given.warmup_epochs / given.epochs
        recipe = recipe.replace(warmup_epochs=round(share * recipe.epochs, 3))
    if asked and recipe.warmup_epochs > recipe.epochs:
        raise RecordError(
            f"recipe: expected a warm-up within epochs={recipe.epochs}, "
            f"received warmup_epochs={recipe.warmup_epochs:g}."
        )
    if recipe.start is None:
        network = centred(recipe.network, recipe.preprocessing.whitening)
        recipe = recipe if network == recipe.network else recipe.replace(network=network)
    return recipe


def _meant(key: str) -> tuple[str, ...]:
    """Return the keys that may have been meant by one that is none; none for one that could be."""
    last = _last(key)
    if known := ALSO_CALLED.get(key.lower()) or ALSO_CALLED.get(last):
        return (known,)
    paths = tuple(dict.fromkeys(_paths()))
    if key in paths:  # of another optimiser, say
        return ()
    same = tuple(path for path in paths if _last(path) == last)
    beside = [path for path in paths if path.startswith(f"{key.rpartition('.')[0]}.")]
    if same or beside:
        return (same or _ending_like(last, beside))[:3]
    return (nearest(key, paths) or _ending_like(last, paths))[:3]


def _ending_like(last: str, paths: Sequence[str]) -> tuple[str, ...]:
    near = nearest(last, {_last(path) for path in paths})
    return tuple(path for path in paths if _last(path) in near)


def _last(path: str) -> str:
    return path.rpartition(".")[2].lower()


def _paths() -> Iterator[str]:
    """Yield the keys of all recipes: fields, and the fields of the records in them, of any kind."""
    for name, hint in field_hints(Recipe).items():
        yield name
        for type_ in (hint, *(get_args(hint) if get_origin(hint) is not tuple else ())):
            if name != "network" and isinstance(type_, type) and issubclass(type_, Record):
                below = kinds(type_).values() if issubclass(type_, Family) else ()
                for each in (type_, *below):
                    yield from (f"{name}.{field}" for field in each.__struct_fields__)
