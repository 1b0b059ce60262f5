"""How many small mistakes in the code on paper the quick tests notice: mutation testing.

Mutants of `design/` and the Contract are drawn with a seed. Each is one changed operator, number,
word or statement, and lives in a process of its own, where those tests run that reach the changed
line, as many as take two seconds. A mutant is killed where one of them fails, and survives where
none does. Mutants that cannot be told from the original stay in the draw, so the share is a lower
bound; `docs/tests.md` explains them.

python benchmarks/mutants.py [--json] [--mutants 400] [--seed 0] [--results FILE]
python benchmarks/mutants.py --only design/receptive.py --mutants 50

Why not mutmut or cosmic-ray: mutmut 3 leaves functions with decorators and all code outside of
functions alone, which here is every property, every method registered for a kind of layer and every
table of constants; cosmic-ray rewrites files in place and starts an interpreter a mutant, which
with torch among the imports of tests takes longer than the tests. This one forks from a process
that has imported everything but striate, and so needs Linux or macOS.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import platform
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.machinery import SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "striate"
MUTATED = ("design", "contract.py")
TESTS = (
    "tests/design",
    "tests/test_contract.py",
    "tests/layers/test_kinds.py",  # paper against modules
    "tests/layers/test_more_kinds.py",
    "tests/layers/test_classical.py",
    "tests/layers/test_transposed.py",
    "src/striate/design",
    "src/striate/contract.py",
)
PATIENCE = 15  # seconds computed, after which tests of two seconds are taken to run for ever
WAITING = 120.0  # seconds by the clock, for what waits for ever without computing
MEMORY = 12 << 30  # bytes of addresses; a mutant that asks for more is killed by its MemoryError

COMPARED = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
COMPUTED = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
CALLED = {"min": "max", "max": "min", "any": "all", "all": "any"}


class Mutant(NamedTuple):
    """One change: the `number`-th possible one of a file, and what it turns into what.

    Its own `line` is of a statement, which runs where any of its `lines` does; there are none where
    it runs at import.
    """

    path: str
    number: int
    operator: str
    line: int
    lines: tuple[int, ...]
    before: str
    after: str


# ------------------------------------------------------------------------------- what can change


def changes(tree: ast.Module) -> Iterator[tuple[str, ast.AST, Any]]:
    """Yield (operator, node, do) for every change; `do()` makes it in the tree."""
    yield from _statements(tree.body)
    for node in _code(tree):
        if isinstance(node, ast.stmt):
            for name in ("body", "orelse", "finalbody"):
                inner = getattr(node, name, None)
                if inner:
                    yield from _statements(inner)
        yield from _expression(node)


def _code(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes that compute: no annotations, docstrings, messages, lists of exports."""
    for name, value in ast.iter_fields(tree):
        if name in ("annotation", "returns") or (name == "keywords" and _is_class(tree)):
            continue
        for node in value if isinstance(value, list) else [value]:
            if not isinstance(node, ast.AST) or _silent(node):
                continue
            yield node
            yield from _code(node)


def _is_class(node: ast.AST) -> bool:
    return isinstance(node, ast.ClassDef)  # frozen=True, tag="conv" and such declare


def _silent(node: ast.AST) -> bool:
    match node:
        case ast.Expr(value=ast.Constant()) | ast.JoinedStr():  # docstrings, pieces of sentences
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")) | ast.Import() | ast.ImportFrom():
            return True
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
        case ast.Assign(value=ast.Subscript(value=ast.Name(id="Literal"))):  # an annotation's name
            return True
        case ast.Raise():  # what a message says is read by people; that it comes, by the condition
            return True
    return False


def _statements(body: list[ast.stmt]) -> Iterator[tuple[str, ast.AST, Any]]:
    for place, node in enumerate(body):
        called = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        if called or isinstance(node, ast.AugAssign):
            yield "statement", node, _setter(body, place, ast.copy_location(ast.Pass(), node))
        elif isinstance(node, ast.Break | ast.Continue):
            other = ast.Continue if isinstance(node, ast.Break) else ast.Break
            yield "statement", node, _setter(body, place, ast.copy_location(other(), node))


def _setter(owner: Any, key: Any, value: Any) -> Any:
    def change() -> None:
        if isinstance(owner, list):
            owner[key] = value
        else:
            setattr(owner, key, value)

    return change


def _expression(node: ast.AST) -> Iterator[tuple[str, ast.AST, Any]]:
    yield from _values(node)
    match node:
        case ast.Compare():
            for place, operator in enumerate(node.ops):
                yield "comparison", node, _setter(node.ops, place, COMPARED[type(operator)]())
        case ast.BinOp() | ast.AugAssign() if type(node.op) in COMPUTED:
            yield "arithmetic", node, _setter(node, "op", COMPUTED[type(node.op)]())
        case ast.BoolOp():
            other = ast.Or if isinstance(node.op, ast.And) else ast.And
            yield "logic", node, _setter(node, "op", other())
        case ast.UnaryOp(op=ast.USub()):
            yield "arithmetic", node, _setter(node, "op", ast.UAdd())
        case ast.If() | ast.IfExp() | ast.While() if not isinstance(node.test, ast.Compare):
            negated = ast.copy_location(ast.UnaryOp(ast.Not(), node.test), node.test)
            yield "logic", node.test, _setter(node, "test", negated)
        case ast.Call(func=ast.Name()) if node.func.id in CALLED:
            yield "call", node, _setter(node.func, "id", CALLED[node.func.id])


def _values(node: ast.AST) -> Iterator[tuple[str, ast.AST, Any]]:
    match node:
        case ast.Constant(value=bool()):
            yield "constant", node, _setter(node, "value", not node.value)
        case ast.Constant(value=int() | float()):
            yield "constant", node, _setter(node, "value", node.value + 1)
        case ast.Constant(value=str()):
            yield "word", node, _setter(node, "value", node.value + "XX")


def parsed(path: str) -> ast.Module:
    """Return the syntax tree of a file of `src/striate`."""
    return ast.parse((SOURCE / path).read_text(encoding="utf-8"))


def mutants_of(path: str) -> list[Mutant]:
    """Return every mutant of a file."""
    tree = parsed(path)
    run = {
        id(inner)
        for each in ast.walk(tree)
        if isinstance(each, ast.FunctionDef)
        for inner in ast.walk(each)
    }
    around: dict[int, tuple[int, ...]] = {}
    for each in ast.walk(tree):  # outer statements come first
        if isinstance(each, ast.stmt):
            lines = _run_with(each)
            around |= dict.fromkeys(lines, tuple(lines) if id(each) in run else ())
    return [
        Mutant(
            path, number, operator, node.lineno, around[node.lineno], ast.unparse(node)[:200], ""
        )
        for number, (operator, node, _) in enumerate(changes(tree))
    ]


def _run_with(node: ast.stmt) -> range:
    """Return the lines of a statement, of a compound one the head: a constant runs on no line."""
    end = node.end_lineno or node.lineno
    match node:
        case ast.FunctionDef():  # its defaults matter where it runs
            return range(min(each.lineno for each in (*node.decorator_list, node)), end + 1)
        case ast.If() | ast.For() | ast.While() | ast.With() | ast.Try() | ast.ClassDef():
            return range(node.lineno, max(node.lineno + 1, node.body[0].lineno))
    return range(node.lineno, end + 1)


def described(mutant: Mutant) -> Mutant:
    """Return the mutant with what its place looks like after the change."""
    _, node, change = list(changes(parsed(mutant.path)))[mutant.number]
    change()
    after = "pass" if mutant.operator == "statement" else ast.unparse(node)[:200]
    return mutant._replace(after=f"not ({after})" if after == mutant.before else after)


# ------------------------------------------------------------------------- which tests reach what


class Recorder:
    """A pytest plugin: which lines each test reaches, and what processor time it takes."""

    def __init__(self, coverage: Any) -> None:
        self.coverage = coverage
        self.seconds: dict[str, float] = {}
        self.began = 0.0

    def pytest_runtest_setup(self, item: Any) -> None:
        """Note what follows under the test's name."""
        self.coverage.switch_context(item.nodeid)
        self.began = processor_seconds()

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Write down its seconds."""
        if report.when == "teardown":
            self.seconds[report.nodeid] = processor_seconds() - self.began
            self.coverage.switch_context("")


def processor_seconds() -> float:
    """Return what this process and its children have computed; other work does not change it."""
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, who))


class Chooser:
    """A pytest plugin: run these tests, in this order."""

    def __init__(self, chosen: list[str]) -> None:
        self.places = {name: place for place, name in enumerate(chosen)}

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Leave out and sort what was collected."""
        items[:] = sorted(
            (item for item in items if item.nodeid in self.places),
            key=lambda item: self.places[item.nodeid],
        )


def reach(folder: Path) -> dict[str, Any]:
    """Run the tests once, in a child; return what each line is reached by, and seconds."""
    found = folder / "reached.json"

    def record() -> int:
        import coverage
        import pytest

        measured = coverage.Coverage(
            data_file=None, config_file=False, include=[f"{SOURCE}/design/*", f"{SOURCE}/contract*"]
        )
        recorder = Recorder(measured)
        measured.start()
        code = pytest.main([*_arguments(folder / "all"), *TESTS], plugins=[recorder])
        measured.stop()
        data = measured.get_data()
        lines = {
            Path(name).relative_to(SOURCE).as_posix(): data.contexts_by_lineno(name)
            for name in data.measured_files()
        }
        found.write_text(json.dumps({"lines": lines, "seconds": recorder.seconds}))
        return int(code)

    _, status = os.waitpid(_child(record, folder / "reach.txt"), 0)
    if status:
        print((folder / "reach.txt").read_text()[-3000:], file=sys.stderr)
        raise SystemExit("The tests fail without a mutant; mend them first.")
    document: dict[str, Any] = json.loads(found.read_text())
    return document


def kept(file: Path | None) -> dict[str, Any] | None:
    """Return what an earlier call found, where it was told to keep it."""
    if file is None or not file.exists():
        return None
    document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return document


def _arguments(scratch: Path) -> list[str]:
    options = "--import-mode=importlib --doctest-modules -m 'not slow'"
    quiet = ["-q", "-x", "-p", "no:cacheprovider"]
    return [*quiet, f"--basetemp={scratch}", "-o", f"addopts={options}"]


def chosen(mutant: Mutant, reached: dict[str, Any], budget: float) -> list[str]:
    """Return tests that reach the mutant, together under the budget.

    The first half goes to tests of the mutant's own file, the rest to all that reach it.
    """
    seconds = reached["seconds"]
    lines: dict[str, list[str]] = reached["lines"].get(mutant.path, {})
    tests = {name for line in mutant.lines for name in lines.get(str(line), []) if name}
    if not tests:  # a line that runs at import, or never: whatever reaches a line of the file
        tests = {name for found in lines.values() for name in found if name}
    if not tests:  # a file of tables, or of types: whatever reaches a file of its folder
        folder = Path(mutant.path).parent
        near = (each for path, each in reached["lines"].items() if Path(path).parent == folder)
        tests = {name for each in near for found in each.values() for name in found if name}
    own = _within({each for each in tests if _mirrors(each, mutant.path)}, seconds, budget / 2)
    return own + _within(tests - set(own), seconds, budget - sum(seconds[each] for each in own))


def _mirrors(test: str, path: str) -> bool:
    """Tell whether a test is in a file of the module's or its folder's name, or that imports it."""
    file, module = Path(test.split("::")[0]), Path(path)
    if file.parts[0] == "src":
        return file.as_posix() == f"src/striate/{path}"
    names = {module.stem} | ({module.parent.name} - {"design", ""})
    own = file.stem.removeprefix("test_") in names or file.parent.name in names
    return own or f"striate.{'.'.join(module.with_suffix('').parts)} " in _source(file)


@cache
def _source(file: Path) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


def _within(tests: set[str], seconds: dict[str, float], budget: float) -> list[str]:
    """Return as many tests as the budget allows, in the order in which they run.

    One case of each comes first, then a second of each: a hundred networks in one test tell less
    than a hundred tests. The quickest go first, what takes over a fifth of it goes last.
    """
    cases: Counter[str] = Counter()
    turn: dict[str, int] = {}
    for name in sorted(tests, key=lambda each: (seconds[each], each)):
        turn[name] = cases[name.split("[")[0]]
        cases[name.split("[")[0]] += 1
    long, left, picked = budget / 5, budget, []
    for name in sorted(tests, key=lambda each: (seconds[each] > long, turn[each], seconds[each])):
        if seconds[name] <= left:
            left -= seconds[name]
            picked.append(name)
    return picked


# --------------------------------------------------------------------------------- life and death


def preload() -> None:
    """Import what the tests need but striate, once for all children."""
    import coverage  # noqa: F401
    import hypothesis  # noqa: F401
    import msgspec  # noqa: F401
    import numpy  # noqa: F401
    import PIL.Image  # noqa: F401
    import pytest  # noqa: F401
    import safetensors.torch  # noqa: F401
    import torch._dynamo  # noqa: F401
    import typer.testing  # noqa: F401


def _child(work: Any, output: Path, seconds: int = 0) -> int:
    """Fork; the child runs `work` with its output in a file, and exits with what it returns."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        if seconds:
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        code = work()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


class Mutated(SourceFileLoader):
    """Loads a module with one change."""

    def __init__(self, name: str, path: str, mutant: Mutant) -> None:
        super().__init__(name, path)
        self.mutant = mutant

    def get_code(self, fullname: str) -> Any:
        """Compile it."""
        tree = parsed(self.mutant.path)
        list(changes(tree))[self.mutant.number][2]()
        return compile(ast.fix_missing_locations(tree), self.path, "exec", dont_inherit=True)


class Finder:
    """Finds one module, mutated, before anybody else does."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant, self.path = mutant, SOURCE / mutant.path
        parts = Path("striate", mutant.path).with_suffix("").parts
        self.name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Return the mutant's module, or leave it to others."""
        if name != self.name:
            return None
        loader = Mutated(name, str(self.path), self.mutant)
        return spec_from_file_location(name, self.path, loader=loader)


def live(mutant: Mutant | None, tests: list[str], scratch: Path) -> int:
    """Run tests against a mutant, or the original; return pytest's code: 0 is survival."""
    import pytest

    if mutant is not None:
        finder = Finder(mutant)
        sys.meta_path.insert(0, finder)  # type: ignore[arg-type]
        import_module(finder.name)  # before pytest, which reads files named to it by its own means
    files = list(dict.fromkeys(each.split("::")[0] for each in tests))
    return int(pytest.main([*_arguments(scratch), *files], plugins=[Chooser(tests)]))


class Judged(NamedTuple):
    """A mutant's end."""

    mutant: Mutant | None
    verdict: str  # killed, survived, forever, unreached
    tests: int


def judge(
    work: list[tuple[Mutant | None, list[str]]], folder: Path, processes: int
) -> Iterator[Judged]:
    """Yield each mutant's end, several alive at a time."""
    living: dict[int, tuple[int, float]] = {}
    waiting = iter(range(len(work)))
    left = True
    while left or living:
        while left and len(living) < processes:
            number = next(waiting, None)
            if number is None:
                left = False
                break
            mutant, tests = work[number]
            if not tests:
                yield Judged(mutant, "unreached", 0)
                continue
            scratch = folder / str(number)
            process = _child(
                lambda m=mutant, t=tests, s=scratch: live(m, t, s),
                folder / f"{number}.txt",
                PATIENCE,
            )
            living[process] = (number, time.monotonic() + WAITING)
        for process, (number, end) in list(living.items()):
            done, status = os.waitpid(process, os.WNOHANG)
            if not done and time.monotonic() < end:
                continue
            if not done:
                os.kill(process, signal.SIGKILL)
                _, status = os.waitpid(process, 0)
            del living[process]
            shutil.rmtree(folder / str(number), ignore_errors=True)
            stopped = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
            verdict = "forever" if stopped else "killed" if status else "survived"
            yield Judged(work[number][0], verdict, len(work[number][1]))
        time.sleep(0.01)


# ----------------------------------------------------------------------------------- the document


def document(judged: list[Judged], of: int, controls: list[Judged], given: Any) -> dict[str, Any]:
    """Return the figures, and each survivor."""
    ends = Counter(each.verdict for each in judged)
    killed = ends["killed"] + ends["forever"]
    operators = Counter(each.mutant.operator for each in judged)
    alive = [each for each in judged if each.verdict in ("survived", "unreached")]
    lost = Counter(each.mutant.operator for each in alive)
    return {
        "claim": "at least 85% of mutants of design/ and the Contract are killed in 2 s of tests",
        "conditions": {
            "machine": platform.machine(),
            "python": platform.python_version(),
            "processes": given.processes,
            "seed": given.seed,
            "seconds_of_tests": given.seconds,
        },
        "possible": of,
        "drawn": len(judged),
        "killed": killed,
        "share": round(killed / max(1, len(judged)), 4),
        "ran_forever": ends["forever"],
        "unreached": ends["unreached"],
        "controls": {
            "run": len(controls),
            "killed": sum(each.verdict != "survived" for each in controls),
        },
        "operators": {
            name: {"drawn": operators[name], "killed": operators[name] - lost[name]}
            for name in sorted(operators)
        },
        "survivors": [
            each.mutant._asdict() | {"verdict": each.verdict, "tests": each.tests}
            for each in sorted(alive)
        ],
    }


def draw(possible: list[Mutant], given: argparse.Namespace) -> list[Mutant]:
    """Return what is judged: as many as asked for by chance, or those that survived before."""
    if given.again is None:
        return random.Random(given.seed).sample(possible, min(given.mutants, len(possible)))
    known = json.loads(given.again.read_text(encoding="utf-8"))["survivors"]
    wanted = {(each["path"], each["before"], each["operator"], each["line"]) for each in known}
    return [
        each for each in possible if (each.path, each.before, each.operator, each.line) in wanted
    ]


def options() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--mutants", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=2.0, help="of tests, for each mutant")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--controls", type=int, default=20, help="originals among the mutants")
    parser.add_argument("--only", help="mutants of files whose path begins so: design/receptive")
    parser.add_argument("--reached", type=Path, help="keep there, or take, what tests reach")
    parser.add_argument("--again", type=Path, help="only what survived in these results")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--results", type=Path, help="write the document there too")
    return parser.parse_args()


def main() -> int:
    """Draw, judge, print; leave with 1 where less than 85% are killed, or a control is."""
    given, began = options(), time.monotonic()
    os.chdir(ROOT)
    os.environ |= {  # hypothesis draws the same each time
        "CI": "true",
        "OMP_NUM_THREADS": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    sys.path[:0] = [str(ROOT / "src"), str(ROOT)]
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        folder = Path(name)
        sys.dont_write_bytecode, sys.pycache_prefix = False, str(folder / "compiled")
        preload()
        reached = kept(given.reached) or reach(folder)
        if given.reached is not None:
            given.reached.write_text(json.dumps(reached), encoding="utf-8")
        paths = sorted(
            path.relative_to(SOURCE).as_posix()
            for each in MUTATED
            for path in ([SOURCE / each] if each.endswith(".py") else (SOURCE / each).rglob("*.py"))
        )
        possible = [each for path in paths for each in mutants_of(path)]
        possible = [each for each in possible if each.path.startswith(given.only or "")]
        drawn = draw(possible, given)
        work = [(described(each), chosen(each, reached, given.seconds)) for each in drawn]
        controls = [(None, tests) for _, tests in work if tests][: given.controls]
        judged = []
        for each in judge([*work, *controls], folder, given.processes):
            judged.append(each)
            if not given.json:
                print(f"\r{len(judged)} of {len(work) + len(controls)}", end="", file=sys.stderr)
    seen = [each for each in judged if each.mutant]
    result = document(seen, len(possible), [each for each in judged if not each.mutant], given)
    result |= {"seconds": round(time.monotonic() - began), "computed": round(processor_seconds())}
    text = json.dumps(result, indent=1)
    if given.results:
        given.results.write_text(text + "\n", encoding="utf-8")
    if given.json:
        print(text)
    else:
        print(f"\n{result['killed']} of {result['drawn']} killed: {result['share']:.1%}")
        for each in result["survivors"]:
            print(f"{each['path']}:{each['line']}  {each['before']}  ->  {each['after']}")
    return int(result["share"] < 0.85 or bool(result["controls"]["killed"]))


if __name__ == "__main__":
    sys.exit(main())
