"""Completion: what is offered is what the commands take, and real shells offer it at TAB."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from striate import weights, zoo
from striate.cli.main import COMMANDS, application
from striate.cli.offer import offer
from striate.data import named


@pytest.mark.parametrize(
    ("line", "words", "files"),
    [
        ("tra", ["train", "transfer"], False),
        ("--v", ["--version"], False),
        ("train --ne", ["--net"], False),
        ("train --net lenet --ne", [], False),
        ("train --set epochs=1 --se", ["--seed", "--set"], False),
        ("train --net lenet5", ["lenet5_1998"], True),
        ("train --net=lenet5", ["--net=lenet5_1998"], False),
        ("train --net = lenet5", ["--net=lenet5_1998"], False),
        ("train fash", ["fashion_mnist"], True),
        ("train --set batch = 64 mn", ["mnist"], True),
        ("train --epochs ", [], False),
        ("train --resume ", [], True),
        ("train digits --no-c", ["--no-check"], False),
        ("design vgg16 vgg19_", ["vgg19_bn"], True),
        ("predict runs/x ", [], True),
        ("export run --to s", ["safetensors"], False),
        ("complete ", ["bash", "zsh", "fish"], False),
        ("view-augment dig", ["digits"], True),
        ("nothing --", [], False),
    ],
)
def test_what_may_stand_at_the_cursor(line: str, words: list[str], files: bool) -> None:
    found = offer(line.split(" "))
    assert sorted(found.words) == sorted(words)
    assert found.files is files


def test_where_nothing_is_left_to_say_options_are_offered() -> None:
    assert "--json" in offer(["export", "run", ""]).words


@pytest.mark.parametrize("command", COMMANDS)
def test_all_options_of_a_command_are_offered(command: str) -> None:
    parsed: Any = typer.main.get_command(application(command))
    options = {
        name
        for each in parsed.commands[command].params
        if each.param_type_name == "option" and not each.hidden
        for name in (*each.opts, *each.secondary_opts)
        if name.startswith("--")
    }
    assert set(offer([command, "--"]).words) == options | {"--help"}


def test_names_are_those_that_are_registered() -> None:
    assert set(offer(["design", ""]).words) == set(zoo.names())
    assert set(offer(["check", ""]).words) == set(named.NAMES)
    assert set(offer(["predict", ""]).words) == set(weights.names())
    assert set(offer([""]).words) == set(COMMANDS)
    assert all(offer([""]).words.values()), "each command says what it does"


def test_a_tab_does_not_wait_for_torch() -> None:
    code = (
        "import sys; from striate.cli.offer import offer\n"
        "for line in ('', 'train --net r', 'train ', 'predict '): offer(line.split(' '))\n"
        "assert not {'torch', 'numba', 'numpy', 'rich'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_document_has_the_script_or_the_words(run: Callable[..., Any]) -> None:
    script = run("complete", "zsh").out
    assert script.startswith("#compdef striate\n")
    assert json.loads(run("complete", "zsh", "--json").out) == {
        "shell": "zsh",
        "script": script.rstrip("\n"),
    }
    document = json.loads(run("complete", "bash", "--json", "--", "train", "--net", "lenet5").out)
    assert document == {"words": ["lenet5_1998"], "files": True}
    assert "bash" in run("complete", "tcsh").err


# -- shells


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with this striate as a program, and some folders to complete."""
    folder = tmp_path_factory.mktemp("place")
    program = folder / "bin" / "striate"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m striate "$@"\n')
    program.chmod(0o755)
    for name in ("digits_of_mine", "my photos"):
        (folder / name).mkdir()
    return folder


def shell(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}")
    return found


def variables(place: Path) -> dict[str, str]:
    return {**os.environ, "PATH": f"{place / 'bin'}:{os.environ['PATH']}", "TERM": "dumb"}


def test_bash_offers_what_its_words_ask_for(place: Path) -> None:
    script = r"""
    eval "$(striate complete bash)"
    at() { COMP_WORDS=(striate "$@"); COMP_CWORD=$#; _striate; echo "${COMPREPLY[*]}"; }
    at tra
    at train --net = lenet5
    at train digit
    at train my
    """
    ended = subprocess.run(
        [shell("bash"), "--norc", "-c", script],
        cwd=place,
        env=variables(place),
        capture_output=True,
        text=True,
        check=True,
    )
    offered = ["train transfer", "lenet5_1998", "digits digits_of_mine", ""]
    assert ended.stdout.splitlines() == offered


def test_fish_offers_names_with_what_they_mean(place: Path) -> None:
    script = (
        "striate complete fish | source; "
        "for line in 'striate train --ne' 'striate check digi' 'striate design alexnet_c'; "
        "complete -C $line; end"
    )
    environment = {**variables(place), "HOME": str(place), "XDG_CONFIG_HOME": str(place)}
    ended = subprocess.run(
        [shell("fish"), "--no-config", "-c", script],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = ended.stdout.splitlines()
    assert lines[0] == "--net\tA network, or auto for the recipe's own."
    assert sorted(lines[1:3]) == ["digits\ta named set", "digits_of_mine/"]
    assert all(line.startswith("alexnet_c") and "\t" in line for line in lines[3:])


CLEAR = "\x15"  # control-U: an empty line


class Terminal:
    """A shell on a terminal of its own, to which keys are sent."""

    def __init__(self, command: list[str], place: Path) -> None:
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.chdir(place)
            os.execvpe(command[0], command, variables(place))

    def shown(self, keys: str, awaited: str) -> str:
        """Type; return what is shown from then on, up to what is awaited or for five minutes."""
        os.write(self.master, keys.encode())
        text, end = "", time.monotonic() + 300
        while awaited not in text:
            left = max(end - time.monotonic(), 0)
            if not select.select([self.master], [], [], left)[0]:
                break
            text += os.read(self.master, 4096).decode(errors="replace")
        return text

    def close(self) -> None:
        os.close(self.master)
        os.waitpid(self.pid, 0)


@pytest.mark.parametrize(
    ("name", "command", "start"),
    ids=("bash", "zsh"),
    argvalues=[
        ("bash", ["bash", "--norc", "-i"], 'eval "$(striate complete bash)"; echo rea"dy"\n'),
        (
            "zsh",
            ["zsh", "-f", "-i"],
            'autoload -U compinit; compinit -uD; eval "$(striate complete zsh)"; echo rea"dy"\n',
        ),
    ],
)
def test_a_shell_completes_at_tab(name: str, command: list[str], start: str, place: Path) -> None:
    shell(name)
    terminal = Terminal(command, place)
    try:
        assert "ready" in terminal.shown(start, "ready")
        for keys, added in (
            ("striate design lenet5", "_1998 "),
            ("striate train --net=lenet5", "_1998"),
            ("striate train my", "\\ photos/"),
        ):
            assert added in terminal.shown(f"{CLEAR}{keys}\t", added)
    finally:
        terminal.close()
