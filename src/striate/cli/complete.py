"""`striate complete SHELL`: a script for a shell, and what may stand at the cursor.

The script asks `striate complete SHELL -- WORDS...` at each TAB, so that what it offers is always
what this striate takes.
"""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from striate.cli import output
from striate.cli.offer import offer
from striate.cli.options import Json

_BASH = r"""# eval "$(striate complete bash)" in ~/.bashrc
_striate() {
    local IFS=$'\n' answer
    answer=($(striate complete bash -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
    COMPREPLY=("${answer[@]:1}")
    [[ $COMP_WORDBREAKS == *=* ]] && COMPREPLY=("${COMPREPLY[@]#*=}") # --net= stands there
    [[ ${answer[0]} == files ]] || return 0
    if ((${#COMPREPLY[@]})); then
        COMPREPLY+=($(compgen -f -- "${COMP_WORDS[COMP_CWORD]}"))
        compopt -o filenames 2>/dev/null
    else
        compopt -o default 2>/dev/null
    fi
    return 0
}
complete -F _striate striate"""

_ZSH = r"""#compdef striate
# eval "$(striate complete zsh)" in ~/.zshrc, after compinit; or a file _striate in $fpath
_striate() {
    local -a answer
    answer=("${(@f)$(striate complete zsh -- "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
    local kind=$answer[1]
    shift answer
    (( $#answer )) && _describe striate answer
    [[ $kind == files ]] && _files
}
if [[ $funcstack[1] == _striate ]]; then _striate "$@"; else compdef _striate striate; fi"""

_FISH = r"""# striate complete fish > ~/.config/fish/completions/striate.fish
function __striate_complete
    set -l words (commandline -opc) (commandline -ct)
    test (count $words) -gt (count (commandline -opc)); or set -a words ''
    set -l answer (striate complete fish -- $words[2..-1] 2>/dev/null)
    printf '%s\n' $answer[2..-1]
    test "$answer[1]" = files; and __fish_complete_path (commandline -ct)
end
complete -c striate -f -a '(__striate_complete)'"""


class Shell(enum.StrEnum):
    """A shell that completes words."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


_SCRIPTS = {Shell.bash: _BASH, Shell.zsh: _ZSH, Shell.fish: _FISH}


def complete(
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- WORD...]", hidden=True, help="Asked by the script at TAB."),
    ] = None,
    as_json: Json = False,
) -> None:
    """A script that completes commands, options and names at TAB.

    bash: eval "$(striate complete bash)" in ~/.bashrc

    zsh: eval "$(striate complete zsh)" in ~/.zshrc, after compinit

    fish: striate complete fish > ~/.config/fish/completions/striate.fish
    """
    if not words:
        script = _SCRIPTS[shell]
        output.show({"shell": shell.value, "script": script}, script, as_json)
        return
    found = offer(words)
    lines = [_line(shell, word, meaning) for word, meaning in found.words.items()]
    text = "\n".join(["files" if found.files else "words", *lines])
    output.show({"words": list(found.words), "files": found.files}, text, as_json)


def _line(shell: Shell, word: str, meaning: str) -> str:
    """Return a word as its shell wants it; bash has no place for what it means."""
    if shell is Shell.zsh:
        word = word.replace(":", "\\:")
    between = {Shell.bash: "", Shell.zsh: ":", Shell.fish: "\t"}[shell]
    return f"{word}{between}{meaning}" if between and meaning else word
