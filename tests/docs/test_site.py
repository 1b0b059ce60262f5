"""The site: built with warnings as errors, with every public name, asking nobody for anything."""

from __future__ import annotations

import html
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import striate

for _name in ("furo", "myst_parser", "sphinx"):
    pytest.importorskip(_name)

DOCS = Path(__file__).parents[2] / "docs"
_LOADED = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc="(?:https?:)?//[^"]*"
    | <link\b(?=[^>]*\brel="(?!canonical)[^"]*")[^>]*\bhref="(?:https?:)?//[^"]*"
    | url\(\s*["']?(?:https?:)?//[^)]*\)
    | @import\s+["'](?:https?:)?//[^"']*""",
    re.VERBOSE,
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    ended = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
        + ["-d", str(folder / "doctrees"), str(DOCS), str(folder / "html")],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    return folder / "html"


@pytest.mark.slow
def test_every_page_is_there_and_is_linked(site: Path) -> None:
    pages = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")}
    assert len(pages) > 25 and not [each for each in pages if not (site / each).is_file()]
    for path in DOCS.rglob("*.md"):  # a page called search would be Sphinx's own
        title = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        page = site / path.relative_to(DOCS).with_suffix(".html")
        heading = re.search(r"<h1>(.*?)<a", page.read_text(encoding="utf-8"), re.DOTALL)
        assert heading and _words(heading[1]) == _words(title), page
    front = (site / "index.html").read_text(encoding="utf-8")
    linked = set(re.findall(r'href="([^"#:]+\.html)"', front))
    assert not [each for each in pages if each.as_posix() not in linked | {"index.html"}]


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", html.unescape(re.sub(r"<[^>]*>", "", text)))


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    files = [*site.rglob("*.html"), *site.rglob("*.css")]
    assert len(files) > 40
    found = {hit for path in files for hit in _LOADED.findall(path.read_text(encoding="utf-8"))}
    assert not found


@pytest.mark.slow
def test_every_public_name_is_in_the_reference(site: Path) -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in (site / "reference").glob("*.html"))
    lacking = []
    for room in pkgutil.iter_modules(striate.__path__):
        module = importlib.import_module(f"striate.{room.name}") if room.ispkg else None
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if inspect.isclass(value) or inspect.isfunction(value):
                full = f"striate.{room.name}.{name}"
                lacking += [full] if f'id="{full}"' not in text else []
    assert not lacking
