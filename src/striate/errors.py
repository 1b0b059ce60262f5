"""Every mistake a user can make, as one tree of exceptions.

The command line turns any `StriateError` into one sentence on stderr and exit code 2; everything
else is a bug of ours and keeps its traceback. Messages say what was expected, what was received
(`name=value`), and what to do about it.

    StriateError
    |-- UsageError              an option, a name or a value that does not exist here
    |   |-- UnknownName         no such network, recipe, key: carries the nearest names
    |   `-- MissingExtra        an optional dependency is absent: carries the `pip install` line
    |-- RecordError             a JSON document or `key=value` that does not fit its record
    |-- DesignError             a network that cannot be: carries the layer and what would fit
    |   `-- NotationError       text that is no network: carries line and column
    |-- DataError               images, labels or folders that cannot be used: carries the path
    |-- ContractError           an image or a class list that the network was not trained for
    |-- RunError                a run folder that is locked, exists, or is no run folder
    |   `-- CheckpointError     a checkpoint cut short, altered, or of another run
    |-- WeightsError            tensors missing, unexpected, misshapen: carries their names
    `-- TrainingError           training had to stop
        `-- NotFiniteError      a loss or gradient became NaN or infinite: carries the step
"""

from __future__ import annotations


class StriateError(Exception):
    """Base of everything a user can put right."""


class UsageError(StriateError):
    """An option, a name or a value that does not exist here."""


class UnknownName(UsageError):
    """A name that is not registered; `nearest` holds the closest ones that are."""

    def __init__(self, what: str, name: str, nearest: tuple[str, ...] = (), hint: str = "") -> None:
        self.what, self.name, self.nearest = what, name, nearest
        hint = f" {hint}" if hint else ""
        super().__init__(f"There is no {what} named {name!r}.{did_you_mean(nearest)}{hint}")


class MissingExtra(UsageError):
    """An optional dependency is absent; the message is the exact line that installs it."""

    def __init__(self, needed_for: str, package: str, extra: str) -> None:
        self.package, self.extra = package, extra
        super().__init__(
            f"{needed_for} needs {package}, which is not installed: "
            f'pip install "striate[{extra}]"'  # quotes that every shell knows
        )


class RecordError(StriateError):
    """A JSON document or a `key=value` that does not fit its record."""


class DesignError(StriateError):
    """A network that cannot be.

    Args:
        problem: one sentence without a full stop where fixes follow, what was received last.
        layer: the first record at fault, when there is one.
        fixes: what would put it right, with numbers; the message ends with them.
        expects: how many features the layer was declared for, where that is what does not fit.
        table: the sheet up to the layer at fault, where the network knows it.
        least: (height, width) of the smallest images that the whole network takes, where the ones
            it was given are smaller.
    """

    def __init__(
        self,
        problem: str,
        layer: str | None = None,
        *,
        fixes: tuple[str, ...] = (),
        expects: int | None = None,
        table: str = "",
        least: tuple[int, ...] | None = None,
    ) -> None:
        self.problem, self.layer, self.fixes = problem, layer, fixes
        self.expects, self.table, self.least = expects, table, least
        if fixes:
            problem = f"{problem}: {_either(fixes)}."
        elif not problem.endswith((".", "?", "^")):  # not yet a sentence, nor a text with its caret
            problem += "."
        super().__init__(problem)

    def advised(self, fix: str) -> DesignError:
        """Return the error with another fix: what its asker has an option for."""
        fixes = (*self.fixes, fix)
        return DesignError(
            self.problem,
            self.layer,
            fixes=fixes,
            expects=self.expects,
            table=self.table,
            least=self.least,
        )


class NotationError(DesignError):
    """Text (paper notation, a prototxt) that is no network.

    The first line of the message is the sentence; below it stands the text with a caret.

    Args:
        message: both.
        line, column: of the place, counted from 1.
        layer, table, least: as of `DesignError`.
    """

    def __init__(
        self,
        message: str,
        line: int,
        column: int,
        *,
        layer: str | None = None,
        table: str = "",
        least: tuple[int, ...] | None = None,
    ) -> None:
        self.line, self.column = line, column
        super().__init__(message, layer, table=table, least=least)

    def advised(self, fix: str) -> NotationError:
        """Return the error with another fix, at the end of its sentence."""
        sentence, line, text = str(self).partition("\n")
        said = f"{sentence.rstrip('.')} or {fix}.{line}{text}"
        return NotationError(
            said, self.line, self.column, layer=self.layer, table=self.table, least=self.least
        )


class DataError(StriateError):
    """Images, labels or folders that cannot be used; the message carries the path."""


class ContractError(StriateError):
    """An image or a class list that the network was not trained for."""


class RunError(StriateError):
    """A run folder that is locked, already there, or no run folder."""


class CheckpointError(RunError):
    """A checkpoint that is cut short, altered, or of another run."""


class WeightsError(StriateError):
    """Tensors that are missing, unexpected or misshapen; the message names them."""


class TrainingError(StriateError):
    """Training had to stop."""


class NotFiniteError(TrainingError):
    """A loss or a gradient became NaN or infinite; `step` is the step that was refused."""

    def __init__(self, message: str, step: int) -> None:
        self.step = step
        super().__init__(message)


def did_you_mean(names: tuple[str, ...]) -> str:
    """Return what to say after a sentence on a name that is none: a space and a question, or "".

    Example:
        >>> "There is no network 'vgg'." + did_you_mean(("vgg11", "vgg16"))
        "There is no network 'vgg'. Did you mean vgg11 or vgg16?"
    """
    return f" Did you mean {_either(names)}?" if names else ""


def _either(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
