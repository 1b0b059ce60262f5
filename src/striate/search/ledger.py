"""The runs of a search, written down where several processes and machines can share them.

The ledger is a study of Optuna's (SQLite by default, a journal file, or any database by its URL),
so its dashboard and its other tools read it. Each run is one trial. A run is claimed by adding its
trial, whole, in one transaction; the lowest number of a key has it, so no two processes make the
same run. Nothing finished is ever changed: a kill loses the run being made and no other.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from striate.errors import MissingExtra, RunError, UsageError
from striate.records import decode, to_json
from striate.search.slot import Entry, Outcome, Slot, State, run_key
from striate.search.space import Numbers, Parameter, Space

if TYPE_CHECKING:
    import optuna

T = TypeVar("T")

_PATIENCE: Final = 120.0  # seconds without a sign of life after which a run is taken for dead
_WINDOWS: Final = os.name == "nt"
_BUSY: Final = 60.0  # seconds that SQLite waits for another writer


def engine() -> Any:
    """Return Optuna, silent.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise MissingExtra("striate search", "Optuna", "search") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


class Ledger:
    """A study, open.

    Args:
        storage: `*.db` or `*.sqlite` for SQLite, another path for a journal file, or a database's
            URL.
        name: of the study in it.
        question: what is searched; the first process writes it down, the others must have the same.

    Raises:
        MissingExtra: Optuna is not installed.
        RunError: the storage cannot be opened, or another question has that name.
    """

    def __init__(self, storage: str, name: str, question: dict[str, Any]) -> None:
        self.optuna = engine()
        self.owner = f"{socket.gethostname()} {os.getpid()} {time.time():.0f}"
        self.place = without_password(storage)
        self._seen: dict[int, tuple[str, float]] = {}
        self._ended: dict[int, Entry] = {}
        self._storage = patiently(lambda: self._open(storage))  # others may be making its tables
        with self._speaking():
            maximise = self.optuna.study.StudyDirection.MAXIMIZE
            try:
                self._study = self._storage.create_new_study([maximise], name)
            except self.optuna.exceptions.DuplicatedStudyError:
                self._study = self._storage.get_study_id_from_name(name)
            self._agree(name, question)

    def entries(self) -> list[Entry]:
        """Return all runs, in order of beginning."""
        with self._speaking():
            trials = self._storage.get_all_trials(self._study, deepcopy=False)
            known = (each for each in trials if "slot" in each.user_attrs)
            return [self._entry(each) for each in known if "twin" not in each.user_attrs]

    def claim(self, slot: Slot, space: Space) -> Entry | None:
        """Begin a run, unless somebody else has it.

        Args:
            slot: with its values.
            space: all that is searched, now.
        """
        values = dict(slot.values or {})
        run = run_key(values, slot.epochs, slot.seed)
        held = {
            each.key: _distribution(self.optuna, each, values[each.key])
            for each in space.parameters
        }
        wanted = {
            "stage": slot.stage, "key": slot.key, "epochs": slot.epochs, "seed": slot.seed,
            "run": run, "values": values,
        }  # fmt: skip
        with self._speaking():
            template = self.optuna.trial.create_trial(
                state=self.optuna.trial.TrialState.RUNNING,
                params=values,
                distributions=held,
                user_attrs={"slot": wanted, "owner": self.owner},
            )
            identity = self._storage.create_new_trial(self._study, template)
            number = self._storage.get_trial(identity).number
            for each in self.entries():
                same = each.keys & {slot.key, run}
                if each.number < number and each.state != "void" and same:
                    self._storage.set_trial_user_attr(identity, "twin", each.number)
                    self.void(number, f"run {each.number} is the same and was begun before it")
                    return None
        return Entry(number, slot, "running", None, "", self.owner, "", run)

    def beat(self, number: int) -> None:
        """Give a sign of life."""
        with self._speaking():
            self._storage.set_trial_user_attr(self._id(number), "beat", f"{time.time():.1f}")

    def finish(self, number: int, outcome: Outcome) -> None:
        """Write down how a run ended; nothing changes that afterwards."""
        states = self.optuna.trial.TrialState
        state = {"done": states.COMPLETE, "stopped": states.PRUNED, "failed": states.FAIL}
        scored = outcome.score is not None and outcome.state != "failed"
        with self._speaking():
            identity = self._id(number)
            for step, value in enumerate(outcome.curve, start=1):
                self._storage.set_trial_intermediate_value(identity, step, value)
            written = json.loads(to_json(outcome))
            self._storage.set_trial_user_attr(identity, "outcome", written)
            self._storage.set_trial_state_values(
                identity, state[outcome.state], [outcome.score] if scored else None
            )

    def void(self, number: int, note: str) -> None:
        """Give a run's slot free, and say why; a run that has ended meanwhile stays as it is."""
        with self._speaking():
            try:
                self._storage.set_trial_user_attr(self._id(number), "void", note)
                self._storage.set_trial_state_values(
                    self._id(number), self.optuna.trial.TrialState.FAIL
                )
            except self.optuna.exceptions.UpdateFinishedTrialError:
                return

    def free_the_dead(self) -> list[str]:
        """Give free what processes that are gone have left; return a sentence for each run.

        On this machine a process is asked for; of another one a run counts as left when it has
        given no sign of life for two minutes, by this machine's clock.
        """
        left = []
        for each in self.entries():
            if each.state == "running" and each.owner != self.owner and not self._alive(each):
                host, process, *_ = each.owner.split()
                note = f"process {process} on {host} ended without finishing it"
                self.void(each.number, note)
                left.append(f"Run {each.number}: {note}; it is made again.")
        return left

    # --

    def _alive(self, entry: Entry) -> bool:
        host, process, *_ = entry.owner.split()
        if host == socket.gethostname() and not _runs(int(process)):
            return False
        beat, since = self._seen.get(entry.number, ("none yet", 0.0))
        if beat != entry.beat:
            since = time.monotonic()
            self._seen[entry.number] = (entry.beat, since)
        return time.monotonic() - since < _PATIENCE

    def _id(self, number: int) -> int:
        found = self._storage.get_trial_id_from_study_id_trial_number(self._study, number)
        return int(found)

    def _open(self, storage: str) -> Any:
        storages = self.optuna.storages
        with self._speaking():
            if "://" in storage:
                return storages.get_storage(_driven(storage))
            path = Path(storage)
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix in (".db", ".sqlite", ".sqlite3"):
                wait = {"connect_args": {"timeout": _BUSY}}
                return storages.get_storage(
                    storages.RDBStorage(f"sqlite:///{path.resolve()}", engine_kwargs=wait)
                )
            locks = storages.journal  # links take an administrator's rights on Windows
            lock = locks.JournalFileOpenLock if _WINDOWS else locks.JournalFileSymlinkLock
            backend = locks.JournalFileBackend(str(path), lock_obj=lock(str(path)))
            return storages.JournalStorage(backend)

    def _agree(self, name: str, question: dict[str, Any]) -> None:
        attributes = self._storage.get_study_user_attrs(self._study)
        if "question" not in attributes:
            self._storage.set_study_user_attr(self._study, "question", question)
            return
        known = attributes["question"]
        other = sorted(key for key in {*known, *question} if known.get(key) != question.get(key))
        if other:
            raise RunError(
                f"The study {name} in {self.place} asks something else: its {', '.join(other)} "
                "differs. Go on with it by --resume, or choose another --out."
            )

    def _entry(self, trial: optuna.trial.FrozenTrial) -> Entry:
        if trial.number in self._ended:
            return self._ended[trial.number]
        attributes = trial.user_attrs
        wanted = attributes["slot"]
        slot = Slot(
            wanted["stage"], wanted["key"], wanted["epochs"], wanted["seed"], wanted["values"]
        )
        state: State = "running"
        outcome = None
        if trial.state.is_finished():
            state = "void"
            if "outcome" in attributes:
                outcome = decode(Outcome, attributes["outcome"])
                state = outcome.state
        note = str(attributes.get("void", ""))
        beat = str(attributes.get("beat", ""))
        owner, run = attributes["owner"], wanted["run"]
        entry = Entry(trial.number, slot, state, outcome, note, owner, beat, run)
        if state != "running":  # nothing finished changes
            self._ended[trial.number] = entry
        return entry

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """Turn a database's refusal into one sentence."""
        try:
            yield
        except (ImportError, OSError) as error:
            raise RunError(f"{self.place} cannot be opened: {str(error).rstrip('.')}.") from error
        except Exception as error:
            if not type(error).__module__.startswith(("sqlalchemy", "optuna.exceptions")):
                raise
            said = str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else ""
            cause = str(error.__cause__ or "").strip().splitlines()
            said = cause[0] if "StorageInternalError" in type(error).__name__ and cause else said
            raise RunError(f"{self.place} cannot be used: {said}.") from error


def patiently(action: Callable[[], T], attempts: int = 5) -> T:
    """Do something with a ledger, again after a while where the storage refuses it."""
    for attempt in range(attempts):
        try:
            return action()
        except RunError:
            if attempt == attempts - 1:
                raise
            time.sleep(0.2 * 2**attempt)
    raise RuntimeError("unreachable")


def _distribution(optuna_: Any, parameter: Parameter, value: Any) -> Any:
    """Return Optuna's word for a range, made to hold the value."""
    kinds = optuna_.distributions
    if not isinstance(parameter, Numbers):
        return kinds.CategoricalDistribution(parameter.options)
    low, high = min(parameter.low, value), max(parameter.high, value)
    if parameter.whole:
        return kinds.IntDistribution(int(low), int(high), log=parameter.log)
    return kinds.FloatDistribution(low, high, log=parameter.log)


def _runs(process: int) -> bool:
    """Say whether a process of this machine lives; on Windows, where asking ends it, maybe."""
    if _WINDOWS:
        return True  # then its signs of life count, as another machine's do
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _driven(url: str) -> str:
    """Return a database's URL with a driver that is installed.

    Raises:
        UsageError: none is; gives the line that installs one.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in ("postgresql", "postgres"):
        return url
    from importlib.util import find_spec

    for driver in ("psycopg2", "psycopg"):
        if find_spec(driver) is not None:
            return f"postgresql+{driver}://{rest}"
    raise UsageError(
        "PostgreSQL needs a driver, which is not installed: pip install psycopg2-binary"
    )


def without_password(place: str) -> str:
    """Return a storage's name without its password, which databases also take from elsewhere."""
    scheme, mark, rest = place.partition("://")
    user, at, host = rest.rpartition("@")
    return f"{scheme}{mark}{user.split(':')[0]}@{host}" if at else place
