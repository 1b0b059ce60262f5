"""Run chapters and write what they print, and their pictures, into them.

    python -m tests.docs.rewrite docs/tutorial/01_count.md ...     all of them unless named

Look at the difference before it is committed: times and folders become `...` by themselves, lines
of which nobody needs all are left out by hand.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.docs.page import read, rewritten
from tests.docs.session import run

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial"


def masked(line: str) -> str:
    """Put ellipses where another run would print another time."""
    return re.sub(r"\b[\d.,]+ (?:ms|s|min|h)\b", "...", line)


def main() -> None:
    """Rewrite what is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("pages", nargs="*", type=Path)
    parser.add_argument("--dry", action="store_true", help="only say what has changed")
    chosen = parser.parse_args()
    for path in chosen.pages or sorted(TUTORIAL.glob("[0-9]*.md")):
        page = read(path)
        with tempfile.TemporaryDirectory() as folder:
            for step in run(page, Path(folder)):
                step.printed = step.printed.replace(folder, "...")
                mark = "" if step.as_said() else "  changed"
                sys.stdout.write(
                    f"{path.name}:{step.line}  {step.source.splitlines()[0][:70]}{mark}\n"
                )
                if step.ended:
                    sys.stdout.write(f"    ended with {step.ended}\n{step.printed}\n")
                sys.stdout.flush()
            if chosen.dry:
                continue
            for picture, made in page.pictures:
                if not Path(folder, made).is_file():
                    sys.stdout.write(f"{path.name}: nothing left {made} behind\n")
                    continue
                (path.parent / picture).parent.mkdir(exist_ok=True)
                shutil.copy(Path(folder, made), path.parent / picture)
        path.write_text(rewritten(page, masked), encoding="utf-8")


if __name__ == "__main__":
    begun = time.monotonic()
    main()
    sys.stdout.write(f"{time.monotonic() - begun:.0f} s\n")
