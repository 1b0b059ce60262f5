"""What is why: causes come first, nothing is its own cause, and what came later is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.doctor.test_diagnose import STORIES, chance, flat, network, own, probe, recipe, story

from striate import data, doctor, train
from striate.doctor.diagnose import diagnose_story
from striate.doctor.story import Finding

ALL_DEAD = {"relu1": {"dead": 1.0, "saturated": 0.0}}


def cut_off(ratio: float) -> dict[str, Any]:
    """A probe whose first layer has no gradient any more."""
    line = probe(ratio, values=ALL_DEAD)
    line["weights"]["conv1.weight"]["gradient"] = 0.0
    return line


def told(**changes: Any) -> dict[str, Finding]:
    return {each.finding: each for each in diagnose_story(story(**changes))}


THROWN: dict[str, Any] = {  # SGD at a rate of 1: the first step is larger than the weights
    "losses": np.r_[4.1, 565.0, 40.8, np.full(397, 2.303)],
    "validations": chance,
    "probes": (probe(1.4), cut_off(0.3), cut_off(0.07), cut_off(1e-3)),
}


def test_a_rate_that_killed_the_rectifiers_comes_before_them() -> None:
    first, *others = diagnose_story(story(**THROWN))
    assert first.finding == "exploding" and first.settings == ("optimiser.rate=0.0005",)
    late = {each.finding: each for each in others}
    for name in ("dead_rectifiers", "vanishing_gradients"):
        assert late[name].remedy.startswith("see to exploding first; then ")
        assert not late[name].settings


def test_a_rate_that_is_too_high_without_an_explosion_comes_before_them_too() -> None:
    losses = np.r_[4.1, 7.0, np.full(398, 2.35)]
    thrown = (probe(1.4), *(cut_off(0.3),) * 3)
    first, *others = diagnose_story(story(**{**THROWN, "losses": losses, "probes": thrown}))
    assert first.finding == "rate_too_high" and first.settings
    assert all("see to rate too high first" in each.remedy for each in others)


def test_what_stood_there_before_the_first_step_is_not_the_rates_doing() -> None:
    """Rectifiers that were dead from the start are a cause; gradients that they cut off are not."""
    from_the_start = {**THROWN, "probes": (cut_off(1.4), cut_off(0.3), cut_off(0.07))}
    found = told(**from_the_start)
    assert next(iter(found)) == "dead_rectifiers"
    dead = found["dead_rectifiers"]
    assert dead.remedy.startswith("start its biases at 0") and not dead.settings
    for name in ("vanishing_gradients", "exploding"):
        assert found[name].remedy.startswith("see to dead rectifiers first; then")


def test_gradients_that_fade_beside_dead_rectifiers_are_a_cause_of_their_own() -> None:
    faint = probe(values=ALL_DEAD)
    faint["weights"]["conv1.weight"]["gradient"] = 1e-9  # something comes through all the same
    found = told(probes=(faint,) * 4, losses=flat, validations=chance)
    assert "first; then" not in found["vanishing_gradients"].remedy
    assert "first; then" not in found["dead_rectifiers"].remedy


def test_a_detached_body_is_no_gradient_and_nothing_beside_it() -> None:
    detached = probe()
    detached["weights"]["conv1.weight"]["gradient"] = 0.0
    found = told(probes=(detached,) * 4)
    assert next(iter(found)) == "no_gradient"
    assert found["vanishing_gradients"].remedy.startswith("see to no gradient first; then")
    cleared = probe(0.0)  # between backward and step
    for each in cleared["weights"].values():
        each["gradient"] = 0.0
    found = told(probes=(cleared,) * 4, losses=flat, validations=chance)
    assert next(iter(found)) == "no_gradient" and "zero_grad" in found["no_gradient"].remedy
    assert "vanishing_gradients" not in found


def test_weights_that_an_explosion_took_along_are_no_decay() -> None:
    small = probe(1e-3)
    for each in small["weights"].values():
        each["size"] = 0.1
    decayed = recipe(optimiser=train.SGD(rate=3.0, decay=0.05))
    found = told(**{**THROWN, "recipe": decayed, "probes": (probe(1.4), small, small)})
    assert found["exploding"].settings and not found["too_much_decay"].settings


def test_the_surest_cause_is_named_and_never_the_finding_itself() -> None:
    sudden = told(failure={"at": 401, "layer": "the loss"})["not_finite"]
    assert "see to" not in sudden.remedy
    both = {**STORIES["overfitting"], "validations": STORIES["labels_disagree"]["validations"]}
    smooth = recipe(objective=train.CrossEntropy(label_smoothing=0.1), optimiser=train.SGD(
        rate=0.05, decay=0.05))  # so that overfitting has no setting to try  # fmt: skip
    found = told(**both, recipe=smooth)
    assert not found["overfitting"].settings
    assert found["overfitting"].remedy.startswith("see to labels disagree first")
    order = list(found)
    assert order.index("labels_disagree") < order.index("overfitting")
    alike = probe(1e-6)
    alike["weights"]["conv1.weight"]["apart"] = 0.0
    found = told(probes=(alike,) * 4, losses=flat, validations=chance)
    assert found["rate_too_low"].remedy.startswith("see to features alike first")


def test_a_cause_comes_before_what_is_surer_but_its_doing() -> None:
    changes = {**STORIES["too_much_dropout"], "probes": (probe(values=ALL_DEAD),) * 4}
    found = diagnose_story(story(**changes))
    assert [each.finding for each in found] == ["too_much_dropout", "dead_rectifiers"]
    assert found[0].confidence < found[1].confidence


@pytest.mark.parametrize("dead", [0.75, 0.94])
def test_features_that_guessing_has_worn_away_are_not_why_nothing_is_learnt(dead: float) -> None:
    """Shuffled labels: calm steps, a loss that ends at guessing, and features that fall silent."""
    worn = probe(values={"relu1": {"dead": dead, "saturated": 0.0}})
    ends = 2.30 + 1.8 * np.exp(-np.arange(400) / 40)
    found = told(probes=(probe(), *(worn,) * 4), losses=ends, validations=chance)
    assert found["labels_look_shuffled"].confidence >= doctor.SURE
    assert found["dead_rectifiers"].confidence < doctor.SURE
    found = told(probes=(worn,) * 5, losses=ends, validations=chance)  # they were so at the start
    assert found["dead_rectifiers"].confidence >= doctor.SURE
    assert "labels_look_shuffled" not in found


def test_a_lucky_validation_is_no_learning() -> None:
    lucky = chance.copy()
    lucky[4, 1] = 0.16  # of 300 images, guessing and three standard errors are 0.152
    changes = {"losses": flat, "validations": lucky}
    assert "labels_look_shuffled" in told(**changes)
    lucky[:, 1] = 0.16
    assert "labels_look_shuffled" not in told(**{"losses": flat, "validations": lucky})


def test_a_training_that_comes_apart_late_is_the_rates_fault_and_nothing_elses() -> None:
    steps = np.arange(400)
    apart = np.where(steps < 280, 0.25 + 2.0 * np.exp(-steps / 40), 0.8)
    validations = np.stack([np.r_[1.0, 0.5, 0.3, np.full(4, 0.4), 0.9, 1.0, 1.1]] * 2, 1)
    changes: dict[str, Any] = {
        "losses": apart,
        "rates": np.full(400, 0.05),
        "validations": validations,
        "probes": (probe(0.01),) * 6,
        "recipe": recipe(epochs=10),
    }
    found = told(**changes)
    assert set(found) == {"rate_too_high"} and found["rate_too_high"].settings
    assert "0.80 again" in found["rate_too_high"].meaning
    fallen = {**changes, "rates": np.where(steps < 280, 0.05, 0.05 * 3)}  # a schedule's restart
    assert "rate_too_high" not in told(**fallen)


def test_a_training_loss_is_said_to_have_fallen_only_where_it_has() -> None:
    steps = np.arange(400)
    validations = np.stack([np.r_[1.0, 0.5, 0.3, np.linspace(0.6, 1.1, 7)]] * 2, 1)
    rising = np.where(steps < 160, 2.3 * np.exp(-steps / 40), 0.25)
    for losses, said in ((rising, None), (2.3 * np.exp(-steps / 60), "fell to"),
                         (np.where(steps < 80, 1.0, 0.25), "stood at")):  # fmt: skip
        found = told(losses=losses, validations=validations)
        if said is not None:
            assert said in found["overfitting"].meaning
    summed = np.stack([np.full(10, 1465.0), np.full(10, 0.1)], 1)
    assert "overfitting" not in told(losses=np.full(400, 75.4), validations=summed)


def test_losses_that_no_cross_entropy_can_be() -> None:
    summed = told(recipe=own, losses=32 * story().losses)
    assert "summed" in summed["impossible_loss"].meaning and summed["impossible_loss"].evidence[
        "times"] == pytest.approx(32, rel=0.05)  # fmt: skip
    scaled = {"recipe": own, "losses": flat * 1e-4, "validations": chance * np.array([1e-4, 1.0])}
    found = told(**scaled)
    assert next(iter(found)) == "impossible_loss"
    assert found["impossible_loss"].confidence >= doctor.SURE
    if "labels_look_shuffled" in found:
        assert "see to impossible loss first" in found["labels_look_shuffled"].remedy
    ascent = told(recipe=own, losses=-np.geomspace(2.3, 1e9, 400), failure={"at": 401})
    assert next(iter(ascent)) == "impossible_loss" and not ascent["not_finite"].settings
    others = recipe(data=own.data, objective=train.SquareLoss())
    for changes in ({"recipe": own}, {"losses": 32 * story().losses}, {"recipe": others}):
        assert "impossible_loss" not in told(**{"losses": story().losses, **changes})
    assert "impossible_loss" not in told(recipe=others, losses=-flat)
    mean_squares = np.stack([np.full(10, 0.01), np.full(10, 0.9)], 1)  # undeclared, but it learns
    quiet = told(recipe=own, losses=story().losses / 20, validations=mean_squares)
    assert quiet["impossible_loss"].confidence < doctor.SURE


@pytest.mark.parametrize(
    ("momentum", "drift", "name"), [(0.001, 0.05, "norms_lag"), (0.1, 0.0, "norms_stand_still")]
)
def test_norms_that_lag_are_why_what_is_learnt_does_not_carry_over(
    momentum: float, drift: float, name: str
) -> None:
    """A Caffe file's momentum of 0.001 for three epochs: learnt by heart, it seems, and no more."""
    found = told(
        recipe=recipe(network=network(True, momentum=momentum)),
        losses=np.maximum(2.3 - np.arange(400) / 300, 1.2),
        validations=chance,
        probes=(probe(norms={"norm1": drift}),) * 6,
    )
    assert next(iter(found)) == name
    assert f"see to {name.replace('_', ' ')} first" in found["labels_look_shuffled"].remedy


def test_validation_prepared_otherwise_is_no_overfitting() -> None:
    otherwise = STORIES["validation_differs"]
    first, *others = diagnose_story(story(**otherwise))
    assert first.finding == "validation_differs"
    assert all("see to validation differs first" in each.remedy for each in others)
    guessed = np.stack([np.full(10, 9.0), np.full(10, 0.13)], 1)  # as all of one class are
    found = told(**{**otherwise, "validations": guessed})
    assert "validation_differs" in found and "labels_look_shuffled" not in found
    lost = {**otherwise, "losses": np.r_[otherwise["losses"][:200], np.full(200, 2.3)]}
    assert "validation_differs" not in told(**lost)  # the training came apart after an epoch
    late = otherwise["validations"].copy()
    late[1:] = 0.9, 0.8  # batch-norm's statistics needed an epoch
    assert "validation_differs" not in told(**{**otherwise, "validations": late})


def test_few_steps_is_not_said_of_many_nor_of_what_learnt_by_them() -> None:
    few = STORIES["few_steps"]
    assert told(**few)["few_steps"].settings == ("batch=64",)
    assert "few_steps" not in told(**{**few, "losses": np.array([2.3, 1.6, 1.2, 0.8, 0.6])})
    assert "few_steps" not in told(**{**few, "steps_per_epoch": 5})  # it goes on


def test_a_first_step_that_broke_everything_leaves_no_layer_untrained() -> None:
    broken = probe()
    for each in broken["weights"].values():
        each["update"] = None  # not finite
    none = {"losses": np.array([4.1]), "rates": np.array([1e30]), "gradients": np.ones(1)}
    found = told(**none, probes=(broken,), failure={"at": 2, "layer": "conv2"})
    assert set(found) == {"not_finite"} and found["not_finite"].settings


def test_no_command_is_advised_to_a_loop_of_which_there_are_no_images() -> None:
    failed = {"failure": {"at": 401, "layer": "the loss"}}
    assert "striate replay" in told(**failed)["not_finite"].remedy
    remedy = told(**failed, recipe=own)["not_finite"].remedy
    assert "replay" not in remedy and remedy.endswith("in that step's batch")
    poor = STORIES["underfitting"]
    assert "striate check --run RUN" in told(**poor)["underfitting"].remedy
    watched = poor.get("recipe", recipe()).replace(data=own.data)
    remedy = told(**{**poor, "recipe": watched})["underfitting"].remedy
    assert "striate" not in remedy and "figures" not in remedy


def test_a_history_of_losses_that_are_no_numbers() -> None:
    found = told(losses=np.full(90, np.nan))
    assert next(iter(found)) == "not_finite" and "all 90 losses" in found["not_finite"].meaning


def test_one_batch_of_all_images_has_one_order() -> None:
    orders = ({"digest": 7, "images": 32, "classes": 4, "expected": 4.0},) * 10
    assert "not_shuffled" in told(orders=orders)
    assert "not_shuffled" not in told(orders=orders, steps_per_epoch=1)


def test_waiting_in_a_crowd_is_no_alarm() -> None:
    waiting = {"probes": (probe(waiting=0.65),) * 5, "waited": 7.0}
    assert told(**waiting)["data_starved"].confidence >= doctor.SURE
    assert told(**waiting, load=2.5)["data_starved"].confidence < doctor.SURE
    assert "data_starved" not in told(**waiting, waiting=0.4)  # of whole epochs
    slow = {**waiting, "waited": 20.0}  # 50 ms each time: no crowd takes the processor so long
    assert told(**slow, load=2.5)["data_starved"].confidence >= doctor.SURE
    waiting["probes"] = (probe(waiting=0.95),) * 5  # more than a crowd takes
    assert told(**waiting, load=2.5)["data_starved"].confidence >= doctor.SURE


def test_validation_that_costs_too_much_from_the_first_is_prepared_otherwise() -> None:
    """Pixels of 0 to 255: 84% right at a loss of 13, which no overfitting has at its best epoch."""
    dear = np.stack([np.linspace(13.8, 57.0, 10), np.full(10, 0.84)], 1)
    first, *others = diagnose_story(story(validations=dear))
    assert first.finding == "validation_differs" and "never below 13.8" in first.meaning
    assert {each.finding for each in others} == {"overfitting"} and not others[0].settings
    absurd = np.stack([np.linspace(1.3, 4.4, 10), np.full(10, 0.975)], 1)  # 100 an image wrong
    assert next(iter(told(validations=absurd))) == "validation_differs"
    risen = np.stack([np.linspace(1.3, 4.4, 10), np.full(10, 0.84)], 1)
    assert set(told(validations=risen)) == {"overfitting"}


def test_a_loss_that_climbs_explains_what_its_rate_is_accused_of() -> None:
    uphill = told(
        losses=2.3 * np.exp(np.arange(400) / 150),
        validations=chance,
        probes=tuple(probe(2e-4) for _ in range(6)),
    )
    assert next(iter(uphill)) == "loss_rises"
    assert not any(each.settings for each in uphill.values())
    for name in set(uphill) - {"loss_rises"}:
        assert uphill[name].remedy.startswith("see to loss rises first")


def test_underfitting_first_tries_without_augmentation_and_never_what_is_no_change() -> None:
    held_back = STORIES["underfitting"]
    for changes, settings in (
        ({"augmentation": (data.Flip(),)}, ("augmentation=[]",)),
        ({"optimiser": train.SGD(rate=0.05, decay=0.01)}, ("optimiser.decay=0.001",)),
        ({"optimiser": train.SGD(rate=0.05, decay=0.0)}, ()),
    ):
        found = told(**{**held_back, "recipe": recipe(**changes)})
        assert found["underfitting"].settings == settings


def test_a_rise_that_one_or_two_images_make_is_no_overfitting() -> None:
    """Of 120 images two are wrong, and a loss of 0.06 has become one of 0.12."""
    rises = np.stack([np.r_[0.4, 0.1, 0.06, np.full(7, 0.12)], np.full(10, 0.983)], 1)
    falling = {"losses": 2.3 * np.exp(-np.arange(400) / 40)}
    assert "overfitting" not in told(validations=rises, held_out=120, **falling)
    assert "overfitting" in told(validations=rises, held_out=12_000, **falling)


def test_gradients_that_add_up_climb_too() -> None:
    """Sums of gradients point anywhere after a while: that is why, and no wrong sign."""
    found = told(
        **STORIES["gradients_accumulate"] | STORIES["loss_rises"],
        probes=tuple(probe(2e-4) for _ in range(6)),
    )
    assert next(iter(found)) == "gradients_accumulate"
    assert found["loss_rises"].remedy.startswith("see to gradients accumulate first")


def test_smoothed_labels_are_learnt_by_heart_at_their_floor() -> None:
    """Smoothed by a tenth, a loss of 0.51 is 0.01 above the least that there is."""
    smooth = recipe(objective=train.CrossEntropy(label_smoothing=0.1))
    learnt = np.maximum(2.3 * np.exp(-np.arange(400) / 60), 0.51)
    for loss, accuracy, found in ((1.2, 0.65, {"overfitting"}), (0.2, 0.98, set())):
        checks = np.stack([np.linspace(0.95 * loss, loss, 10), np.full(10, accuracy)], 1)
        assert set(told(recipe=smooth, losses=learnt, validations=checks)) == found


def test_a_training_that_comes_apart_at_its_end_had_too_high_a_rate() -> None:
    """One cycle whose climb a warm-up has moved to the last epochs."""
    losses = np.r_[2.3 * np.exp(-np.arange(340) / 100), np.linspace(0.3, 4.7, 60)]
    checks = np.stack([np.r_[np.linspace(1.5, 0.46, 9), 34.0], np.r_[np.full(9, 0.8), 0.4]], 1)
    rates = np.r_[np.full(340, 0.01), np.linspace(0.3, 0.01, 60)]
    found = told(losses=losses, validations=checks, rates=rates)
    assert next(iter(found)) == "rate_too_high" and found["rate_too_high"].settings


def test_a_softmax_over_the_batch_begins_at_its_images() -> None:
    across = {"recipe": own, "losses": np.r_[3.462, 3.467, 3.457, np.linspace(3.4, 2.5, 397)]}
    found = told(**across)
    assert (
        "ln 32" in found["impossible_loss"].meaning and "dim=1" in found["impossible_loss"].remedy
    )
    assert "impossible_loss" not in told(recipe=own, losses=np.array([3.466]))  # once is luck
    across["losses"][1] = 3.6
    assert "impossible_loss" not in told(**across)


def test_classes_without_weight_in_the_loss_are_why_they_are_never_answered() -> None:
    half = (
        np.repeat([[30.0] * 5 + [0.0] * 5], 10, 0) * np.eye(10)
        + np.eye(10)[[0] * 5 + [1] * 5] * (np.arange(10)[:, None] > 4) * 30
    )
    given = train.WeightedCrossEntropy(weights=(2.0,) * 5 + (0.0,) * 5)
    found = told(recipe=recipe(objective=given), results={"test": {"confusion": half.tolist()}})
    assert next(iter(found)) == "never_answered"
    rising = np.stack([np.linspace(2.6, 4.9, 10), np.full(10, 0.5)], 1)
    both = told(
        recipe=recipe(objective=given),
        results={"test": {"confusion": half.tolist()}},
        validations=rising,
    )
    assert both["overfitting"].remedy.startswith("see to never answered first")
    assert "objective.weights weighs them by next to nothing" in found["never_answered"].meaning
    hardly = train.WeightedCrossEntropy(weights=(2.0,) * 5 + (0.001,) * 5)
    found = told(recipe=recipe(objective=hardly), results={"test": {"confusion": half.tolist()}})
    assert found["never_answered"].confidence > 0.9


def test_a_plateau_in_other_units_may_stand_above_ln_k() -> None:
    """A hinge loss begins at about K - 1, and 3 is far below that."""
    hinge = {
        "recipe": recipe(objective=train.Hinge()),
        "losses": np.maximum(9.0 - np.arange(400) / 20, 3.0),
        "rates": np.full(400, 0.05),
        "validations": np.stack([np.full(10, 1.2), np.full(10, 0.6)], 1),
    }
    assert "plateau" in told(**hinge)
    assert "plateau" not in told(**hinge | {"recipe": recipe()})


def test_decay_that_moves_the_weights_itself_is_no_rate() -> None:
    """AdamW at a decay of 100: each step takes a tenth of the weights."""
    small = probe(0.12)
    for each in small["weights"].values():
        each |= {"size": 0.1, "update": 0.012}
    thrown: dict[str, Any] = {
        "losses": flat + 0.01,
        "validations": chance,
        "probes": (probe(0.12), small, small, small),
    }
    rates = np.full(400, 1e-3)
    found = told(
        recipe=recipe(optimiser=train.AdamW(rate=1e-3, decay=100.0)), rates=rates, **thrown
    )
    assert next(iter(found)) == "too_much_decay"
    assert found["rate_too_high"].remedy.startswith("see to too much decay first")
    found = told(recipe=recipe(optimiser=train.AdamW(rate=1e-3, decay=0.1)), rates=rates, **thrown)
    assert next(iter(found)) == "rate_too_high"


def test_what_looks_like_climbing_is_not_named_as_a_cause() -> None:
    climbing = np.geomspace(2.3, 300.0, 400)
    found = told(losses=climbing, validations=chance, gradients=np.linspace(1.0, 90.0, 400))
    assert next(iter(found)) == "gradients_accumulate" and "loss_rises" in found
    assert found["exploding"].remedy.startswith("see to gradients accumulate first")


def test_no_rate_is_advised_that_nobody_would_take() -> None:
    """Half precision, where Adam divides by 0 at once."""
    at_once = {"at": 2, "layer": "the loss"}
    broken = probe(float("nan"))
    for each in broken["weights"].values():
        each["update"] = None
    small = recipe(optimiser=train.Adam(rate=1e-3))
    found = told(failure=at_once, losses=np.array([2.3]), probes=(broken,), recipe=small)
    assert found["not_finite"].settings == ("optimiser.rate=1e-05",)


def test_a_hinge_loss_is_not_held_against_the_loss_of_guessing() -> None:
    hinge = recipe(objective=train.Hinge())
    thrown = {"probes": (probe(0.2),) * 6, "validations": chance, "recipe": hinge}
    found = told(losses=np.full(400, 9.0), **thrown)
    assert "it began at 9.00" in found["rate_too_high"].meaning
    assert "rate_too_high" not in told(losses=np.geomspace(30.0, 3.0, 400), **thrown)


def test_layers_that_thaw_later_are_neither_cut_off_nor_untrained() -> None:
    frozen = probe()
    frozen["weights"]["conv1.weight"] |= {"gradient": None, "update": 0.0}
    thawed = told(probes=(*(frozen,) * 3, *(probe(),) * 3))
    assert not thawed.keys() & {"no_gradient", "layers_not_trained", "vanishing_gradients"}
    kept = told(probes=(frozen,) * 6)
    assert kept["layers_not_trained"].evidence["layer"] == "conv1"


def test_fine_tuning_may_keep_the_statistics_it_began_with() -> None:
    """So it may keep the network in evaluation mode."""
    normed = recipe(
        network=network(True), start=train.Start(path="(a loop of its own)", identity="")
    )
    asleep = probe(norms={"norm1": 0.0}, mode="evaluation")
    names = told(recipe=normed, probes=(asleep,) * 6).keys()
    assert not names & {"norms_stand_still", "trained_in_evaluation_mode"}


def test_gradients_that_dead_rectifiers_cut_off_come_after_them() -> None:
    found = told(probes=(probe(1e-3), *(cut_off(1e-3),) * 4), losses=flat, validations=chance)
    assert next(iter(found)) == "dead_rectifiers" and found["dead_rectifiers"].settings
    assert found["vanishing_gradients"].remedy.startswith("see to dead rectifiers first")
