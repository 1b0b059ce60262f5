"""The page: one HTML file beside its pictures, opened from disk, without a script."""

from __future__ import annotations

from html import escape

from striate.explain.report import Picture, Report, Section

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
p { margin: 0 0 .75rem; max-width: 46rem; color: var(--muted); }
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
figcaption strong { display: block; color: var(--ink); font-size: .95rem; }
.no { color: var(--warn); }
.no::before { content: "Not to be believed: "; font-weight: 600; }
"""


def page(report: Report) -> str:
    """Return the HTML of a report; its pictures are named relative to it."""
    links = "".join(
        f'<a href="#{escape(each.name)}">{escape(each.title)}</a>' for each in report.sections
    )
    body = "\n".join(_section(each) for each in report.sections)
    title = f"Inside {report.network}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style></head>\n<body><main>\n"
        f"<h1>{escape(title)}</h1>\n<p>{escape(report.run)}, contract "
        f"{escape(report.contract[:16])}</p>\n"
        f'<nav aria-label="Sections">{links}</nav>\n{body}\n</main></body></html>\n'
    )


def _section(section: Section) -> str:
    pictures = "\n".join(_picture(each) for each in section.pictures)
    return (
        f'<section id="{escape(section.name)}"><h2>{escape(section.title)}</h2>\n'
        f'<p>{escape(section.text)}</p>\n<div class="grid">\n{pictures}\n</div></section>'
    )


def _picture(picture: Picture) -> str:
    kind = "" if "/" in picture.file else ' class="wide"'
    reasons = f'<div class="no">{escape("; ".join(picture.reasons))}.</div>'
    return (
        f'<figure{kind}><img src="{escape(picture.file)}" alt="{escape(picture.title)}" '
        f'loading="lazy"><figcaption><strong>{escape(picture.title)}</strong>'
        f"{escape(picture.note)}{reasons if picture.reasons else ''}</figcaption></figure>"
    )
