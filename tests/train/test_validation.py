from __future__ import annotations

import pytest

from striate.errors import RecordError
from striate.records import decode
from striate.train.validation import EarlyStop, Validation, best


def series(*figures: tuple[float, float]) -> list[Validation]:
    return [
        Validation(epoch=epoch, step=10 * epoch, accuracy=accuracy, loss=loss)
        for epoch, (accuracy, loss) in enumerate(figures, 1)
    ]


def test_best_by_accuracy_breaks_ties_by_loss_then_takes_the_earliest() -> None:
    ties = series((0.8, 0.5), (0.9, 0.4), (0.9, 0.3), (0.9, 0.3))
    assert best(ties, "accuracy") is ties[2]
    assert best(ties[:2], "loss") is ties[1]
    assert best([], "loss") is None


def test_a_loss_that_is_no_number_is_never_best() -> None:
    broken = series((0.5, float("nan")), (0.5, 9.0), (0.5, float("inf")))
    assert best(broken, "accuracy") is broken[1]
    assert best(broken, "loss") is broken[1]


def test_early_stop_counts_epochs_since_the_best() -> None:
    falling = series((0.9, 1.0), (0.8, 1.1), (0.8, 1.2))
    rule = EarlyStop(patience=2)
    assert not rule.says_stop([], "accuracy")
    assert [rule.says_stop(falling[:n], "accuracy") for n in (1, 2, 3)] == [False, False, True]


def test_patience_must_be_positive() -> None:
    with pytest.raises(RecordError, match="patience of at least 1 epoch, received patience=0"):
        decode(EarlyStop, {"patience": 0})
