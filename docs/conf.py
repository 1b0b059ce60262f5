"""The site: the tutorial, the pages beside this file, and the reference from docstrings.

`make docs` builds it into build/docs, warnings being errors. It asks nobody for anything: no fonts,
no scripts, no styles from elsewhere, and the search works from a file.

Sphinx rather than MkDocs: MkDocs has had no release since August 2024, Material, its usual theme,
is no longer maintained after November 2026, and Zensical, which succeeds both, is young.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path
from typing import Any

import striate

project = "striate"
version = release = striate.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["reference/_*"]
myst_heading_anchors = 3
suppress_warnings = [
    "ref.python"
]  # a short name that several rooms have: Affine, Plan, DesignError

html_theme = "furo"
html_title = "striate"
html_copy_source = False
html_show_sphinx = html_show_copyright = False
html_show_search_summary = False  # it would be fetched, which a page opened from a file may not
highlight_language = "none"
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#2c5f8a", "color-brand-content": "#2c5f8a"},
    "dark_css_variables": {"color-brand-primary": "#8ab8e0", "color-brand-content": "#8ab8e0"},
}

default_role = "py:obj"  # `name` in a docstring is a link where there is something of that name
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 80
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = ["Input shape", "Output shape", "Source"]


def rooms() -> list[str]:
    """Return the rooms that export something, all of it loaded (some wait for its first use)."""
    names = [each.name for each in pkgutil.iter_modules(striate.__path__) if each.ispkg]
    modules = {name: importlib.import_module(f"striate.{name}") for name in sorted(names)}
    listed = {name: getattr(module, "__all__", []) for name, module in modules.items()}
    return [name for name in listed if [getattr(modules[name], each) for each in listed[name]]]


FLOOR = ("contract", "errors")  # single files that users meet


def write_reference(_app: Any) -> None:
    """Write a page for every room, and one that lists them."""
    pages = [*rooms(), *FLOOR]
    folder = Path(__file__).parent / "reference"
    folder.mkdir(exist_ok=True)
    for name in pages:
        title = f"striate.{name}"
        page = f"{title}\n{'=' * len(title)}\n\n.. automodule:: {title}\n   :members:\n"
        _write(folder / f"{name}.rst", page)
    rows = "\n".join(f"   {name}" for name in pages)
    _write(folder / "index.rst", f"{_TOP}\n.. toctree::\n   :maxdepth: 1\n\n{rows}\n")


_TOP = """Reference
=========

Every public name, from its docstring. What most programs need is loaded with `striate` itself:

"""


def _write(path: Path, text: str) -> None:
    """Write a page, unless it is so already: Sphinx builds again what is newer."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def as_markup(*said: Any) -> None:
    """Turn what docstrings are written in into what Sphinx reads, before napoleon does the rest.

    They are plain text: a star is a star. `Input shape: (...)` on one line becomes a paragraph with
    a bold head; indented lines below a sentence (a folder's files) stay as they are.

    Args:
        said: the last is the docstring's lines, which are changed in place.
    """
    lines: list[str] = said[-1]
    made: list[str] = []
    before, literal = "", False  # the last line that says something; inside lines that stay
    for line in lines:
        literal = literal and (line.startswith("  ") or not line)
        begins = line.startswith("  ") and not line.lstrip().startswith(">>>")
        if begins and made and not made[-1] and before and not before.startswith(" "):
            literal = True
            made += ["::", ""]
        if head := _HEAD.match(line):
            made += ["", f"**{head[1]}:** {_escaped(head[2])}"]
        else:
            made.append(line if literal or ">>>" in line else _escaped(line))
        before = line or before
    lines[:] = made


_HEAD = re.compile(r"(Input shape|Output shape|Source|Command|Hardware|Time|Accuracy): (.+)")


def _escaped(line: str) -> str:
    """Keep stars and bars from being markup, where they do not stand between backticks."""
    parts = re.split(r"(`[^`]*`)", line)
    return "".join(re.sub(r"([*|])", r"\\\1", each) if each[:1] != "`" else each for each in parts)


def setup(app: Any) -> None:
    """Hang in the reference."""
    app.connect("builder-inited", write_reference)
    app.connect("autodoc-process-docstring", as_markup, priority=400)  # napoleon's is 500
