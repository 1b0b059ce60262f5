"""The `striate` command: its subcommands, and the one place where errors become exit codes.

A command's module is imported when the command is named, and imports what it works with when it is
called: `--help` loads no torch, and a command does not wait for the other twenty.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Annotated, NoReturn

import typer

from striate import __version__, progress
from striate.cli import output
from striate.errors import StriateError, UsageError

COMMANDS = (  # in the order of the help: each a function in a module of its name
    "design",
    "check",
    "train",
    "evaluate",
    "doctor",
    "search",
    "pack",
    "augment",
    "plan",
    "predict",
    "explain",
    "attack",
    "history",
    "replay",
    "transfer",
    "export",
    "serve",
    "similar",
    "view",
    "models",
    "weights",
    "env",
    "complete",
)
HELP = "Convolutional networks, from a folder of images to a trained one that can be trusted."
ALIASES = {"view-augment": "augment"}  # a name too long for the help's column


def application(command: str | None = None) -> typer.Typer:
    """Return the program with one command, or with all where none of that name is ours."""
    app = typer.Typer(
        name="striate",
        help=HELP,
        epilog="striate COMMAND --help says more about a command.",
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(_options)
    known = (*COMMANDS, *ALIASES)
    for name in [command] if command in known else known:
        app.command(name, hidden=name in ALIASES)(function(name))
    return app


def function(command: str) -> Callable[..., object]:
    """Import the function of a command."""
    name = ALIASES.get(command, command)
    found: Callable[..., object] = getattr(import_module(f"striate.cli.{name}"), name)
    return found


def _options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    as_json: Annotated[bool, typer.Option("--json", hidden=True)] = False,
) -> None:
    if version:
        output.show({"version": __version__}, f"striate {__version__}", as_json)
        raise typer.Exit
    command = context.invoked_subcommand or "COMMAND"
    if as_json:
        raise UsageError(f"--json belongs to a command; say it after: striate {command} --json")
    if context.invoked_subcommand is None:
        raise UsageError("Expected a command. See: striate --help")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and leave with its exit code.

    0 done; 1 a verdict of fail; 2 wrong usage or unusable input, with one sentence on stderr; 130
    interrupted. Whatever is not a `StriateError` is a bug of ours and keeps its traceback.
    """
    _wait_politely()
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        with progress.use(output.display()):
            code = _run(given, as_json="--json" in given)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of a pipe has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = output.DONE
    sys.exit(code)


def _wait_politely() -> None:
    """Let OpenMP's threads, which torch computes with, spin only shortly while they wait.

    By default they spin for milliseconds. Alone that gains nothing (ResNet-18 and one image took
    12.5 ms with 10,000 rounds, 12.5 by default, 13.3 with 2,000); beside one other busy program it
    makes training 2 to 10 times slower. Read by libgomp when torch is first imported.
    """
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = "10000"


def _run(arguments: list[str], as_json: bool) -> int:
    try:
        app = application(arguments[0])
        result = app(arguments, prog_name="striate", standalone_mode=False)
    except StriateError as error:
        table = getattr(error, "table", "")  # a network up to the layer at fault
        output.show_error(type(error).__name__, str(error), as_json, table)
        return output.UNUSABLE
    except BrokenPipeError:
        raise
    except OSError as error:  # permissions, a full disk: the user's to put right
        output.show_error("OSError", f"{error.filename or 'A file'}: {error.strerror}.", as_json)
        return output.UNUSABLE
    except Exception as error:
        sentence = _sentence(error)
        if sentence is None:
            raise
        output.show_error(type(error).__name__, sentence, as_json)
        return output.UNUSABLE
    if result == output.INTERRUPTED:
        output.show_error("Interrupted", "interrupted.", as_json)
    return result if isinstance(result, int) else output.DONE


def _sentence(error: Exception) -> str | None:
    """Say what wrong usage and full device memory mean; None for what is a bug of ours."""
    if type(error).__name__ == "OutOfMemoryError":
        return "The device's memory is full; try a smaller batch (--set batch=N)."
    if hasattr(error, "format_message"):  # typer's usage errors, which have no public base class
        context = getattr(error, "ctx", None)
        where = f" See: {context.command_path} --help" if context is not None else ""
        message = error.format_message()
        return f"{message.rstrip('?.')}{'?' if '?' in message[-2:] else '.'}{where}"
    return None
