"""A page of an album: one HTML file beside its pictures, opened from disk, without a script."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from striate.draw.album import Picture, Section

_STYLE = """
:root { color-scheme: light dark; --ink: #1f2937; --muted: #6b7280; --paper: #ffffff;
  --card: #f8fafc; --line: #e5e7eb; --warn: #b45309; --accent: #2563eb; }
@media (prefers-color-scheme: dark) { :root { --ink: #e5e7eb; --muted: #9ca3af; --paper: #111827;
  --card: #1f2937; --line: #374151; --warn: #fbbf24; --accent: #93c5fd; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 Inter, "Segoe UI", Helvetica, Arial, sans-serif; }
main { max-width: 1160px; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; margin: 0 0 .25rem; letter-spacing: -.01em; }
h2 { font-size: 1.2rem; margin: 2.75rem 0 .25rem; }
p { margin: 0 0 .75rem; max-width: 46rem; color: var(--muted);
  overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: .35rem 1rem; padding: .75rem 0; margin-top: 1rem;
  border-block: 1px solid var(--line); }
a { color: var(--accent); text-decoration: none; } a:hover, a:focus { text-decoration: underline; }
.grid { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(13.5rem, 1fr)); }
figure { margin: 0; padding: .75rem; border: 1px solid var(--line); border-radius: .6rem;
  background: var(--card); }
figure.wide { grid-column: 1 / -1; }
figure img { width: 100%; height: auto; display: block; border-radius: .3rem; }
figure.wide img { max-width: 100%; width: auto; background: #fff; }
figure:not(.wide) img { image-rendering: pixelated; }
figcaption { margin-top: .5rem; font-size: .85rem; color: var(--muted); }
.table { overflow-x: auto; margin-bottom: 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }
th, td { text-align: left; padding: .3rem 1.25rem .3rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th { color: var(--muted); font-weight: 600; }
figcaption strong { display: block; color: var(--ink); font-size: .95rem; }
.no { color: var(--warn); }
.no::before { content: "Not to be believed: "; font-weight: 600; }
"""


def page(title: str, about: str, sections: Sequence[Section]) -> str:
    """Return the HTML of sections; their pictures are named relative to it.

    Args:
        title: what stands above.
        about: one line below it.
        sections: in order.
    """
    links = "".join(f'<a href="#{escape(each.name)}">{escape(each.title)}</a>' for each in sections)
    body = "\n".join(_section(each) for each in sections)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style></head>\n<body><main>\n"
        f"<h1>{escape(title)}</h1>\n<p>{escape(about)}</p>\n"
        f'<nav aria-label="Sections">{links}</nav>\n{body}\n</main></body></html>\n'
    )


def _section(section: Section) -> str:
    pictures = "\n".join(_picture(each) for each in section.pictures)
    return (
        f'<section id="{escape(section.name)}"><h2>{escape(section.title)}</h2>\n'
        f"<p>{escape(section.text)}</p>\n{_table(section.table)}"
        f'<div class="grid">\n{pictures}\n</div></section>'
    )


def _table(rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    head, *others = (
        "".join(f"<{kind}>{escape(cell)}</{kind}>" for cell in row)
        for kind, row in zip(["th", *["td"] * len(rows)], rows, strict=False)
    )
    body = "".join(f"<tr>{row}</tr>\n" for row in others)
    return (
        f'<div class="table"><table><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>\n"
    )


def _picture(picture: Picture) -> str:
    kind = "" if "/" in picture.file else ' class="wide"'
    reasons = f'<div class="no">{escape("; ".join(picture.reasons))}.</div>'
    return (
        f'<figure{kind}><img src="{escape(picture.file)}" alt="{escape(picture.title)}" '
        f'loading="lazy"><figcaption><strong>{escape(picture.title)}</strong>'
        f"{escape(picture.note)}{reasons if picture.reasons else ''}</figcaption></figure>"
    )
