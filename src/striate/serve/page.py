"""The page under /docs: what can be asked, how, and a place to try it; nothing comes from afar."""

from __future__ import annotations

from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; --ink: #1f2937; --muted: #5b6472; --paper: #ffffff;
  --card: #f8fafc; --line: #d9dee6; --accent: #1d4ed8; --bar: #bfdbfe; --bad: #b91c1c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e5e7eb; --muted: #9ca3af; --paper: #111827;
  --card: #1b2433; --line: #374151; --accent: #93c5fd; --bar: #1e3a8a; --bad: #fca5a5; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 Inter, "Segoe UI", Helvetica, Arial, sans-serif; }
main { max-width: 54rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .5rem; }
h2 code { font-size: 1.05rem; } h2 b { color: var(--accent); margin-right: .4rem; }
p { margin: .25rem 0 .75rem; color: var(--muted); }
a { color: var(--accent); }
code, pre { font: .88rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  padding: .75rem 1rem; white-space: pre-wrap; overflow-wrap: anywhere; margin: .5rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .93rem; }
td { padding: .35rem .75rem .35rem 0; border-top: 1px solid var(--line); vertical-align: top; }
td:first-child { width: 4.5rem; font-variant-numeric: tabular-nums; }
.try { border: 1px solid var(--line); border-radius: .75rem; background: var(--card);
  padding: 1.25rem; margin-top: 1.5rem; }
.try.over { outline: 2px dashed var(--accent); }
.try label { display: block; font-weight: 600; margin-bottom: .5rem; }
.try input { font: inherit; max-width: 100%; color: var(--ink); }
.try input[type=password] { padding: .3rem .5rem; border: 1px solid var(--line);
  border-radius: .4rem; background: var(--paper); width: 20rem; }
.found { display: flex; gap: 1rem; margin-top: 1rem; align-items: flex-start; flex-wrap: wrap; }
.found img { width: 9rem; max-height: 9rem; object-fit: contain; border-radius: .4rem; }
.found ol { list-style: none; margin: 0; padding: 0; flex: 1; min-width: 14rem; }
.found li { position: relative; display: flex; justify-content: space-between;
  padding: .15rem .5rem; margin-bottom: .25rem; overflow: hidden; border-radius: .3rem; }
.found li i { position: absolute; inset: 0 auto 0 0; background: var(--bar); z-index: 0; }
.found li span { position: relative; }
.bad { color: var(--bad); }
"""

_SCRIPT = """
const box = document.querySelector('.try'), input = box.querySelector('input[type=file]');
const out = box.querySelector('[role=status]'), key = box.querySelector('#key');
function row(guess) {
  const item = document.createElement('li'), bar = document.createElement('i');
  bar.style.width = 100 * guess.probability + '%';
  const name = document.createElement('span'), share = document.createElement('span');
  name.textContent = guess.label; share.textContent = (100 * guess.probability).toFixed(1) + '%';
  item.append(bar, name, share); return item;
}
async function ask(files) {
  out.textContent = 'Asking...';
  const form = new FormData(); for (const file of files) form.append('image', file);
  const headers = key && key.value ? {'X-API-Key': key.value} : {};
  try {
    const answer = await fetch('predict', {method: 'POST', body: form, headers});
    const found = await answer.json(); out.textContent = '';
    if (!answer.ok) throw new Error(found.error.message);
    found.predictions.forEach((each, place) => {
      const line = document.createElement('div'), image = document.createElement('img');
      line.className = 'found'; image.src = URL.createObjectURL(files[place]);
      image.alt = each.file; const list = document.createElement('ol');
      each.top.forEach(guess => list.append(row(guess))); line.append(image, list);
      out.append(line);
    });
  } catch (error) {
    out.textContent = ''; const said = document.createElement('p');
    said.className = 'bad'; said.textContent = error.message; out.append(said);
  }
}
input.addEventListener('change', () => input.files.length && ask([...input.files]));
box.addEventListener('dragover', event => { event.preventDefault(); box.classList.add('over'); });
box.addEventListener('dragleave', () => box.classList.remove('over'));
box.addEventListener('drop', event => { event.preventDefault(); box.classList.remove('over');
  if (event.dataTransfer.files.length) ask([...event.dataTransfer.files]); });
document.querySelectorAll('pre').forEach(each => {
  each.textContent = each.textContent.replaceAll('http://HOST', location.origin); });
"""

_KEY = '<p><label for="key">API key</label><input type="password" id="key" autocomplete="off"></p>'
_EXAMPLES = (
    "curl --data-binary @photo.jpg http://HOST/predict",
    "curl -F image=@one.jpg -F image=@two.png 'http://HOST/predict?top=3'",
    """(printf '{"image": "'; base64 < photo.jpg | tr -d '\\n'; printf '"}') |
    curl -H "Content-Type: application/json" --data-binary @- http://HOST/predict""",
)
_ANSWER = """{"predictions": [
   {"file": "one.jpg", "id": "n02123045", "label": "tabby", "probability": 0.93,
    "top": [{"id": ..., "label": ..., "probability": ...}, ...]}],
 "network": "resnet18", "contract": "3f1c..."}"""


def page(document: dict[str, Any]) -> str:
    """Return the HTML of an OpenAPI document of ours."""
    info, paths = document["info"], document["paths"]
    asks_key = "security" in paths["/predict"]["post"]
    sections = "\n".join(
        _section(path, method.upper(), said, asks_key)
        for path, methods in paths.items()
        for method, said in methods.items()
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(info['title'])}</title>\n<style>{_STYLE}</style></head>\n<body><main>\n"
        f"<h1>{escape(info['title'])}</h1>\n<p>{escape(info['description'])} The same as a "
        'document: <a href="openapi.json">openapi.json</a>.</p>\n'
        '<div class="try"><label for="file">Try it: choose images, or drop them here</label>'
        f'{_KEY if asks_key else ""}<input type="file" id="file" accept="image/*" multiple>'
        f'<div role="status" aria-live="polite"></div></div>\n{sections}\n'
        f"</main><script>{_SCRIPT}</script></body></html>\n"
    )


def _section(path: str, method: str, said: dict[str, Any], asks_key: bool) -> str:
    parts = [f"<h2><b>{method}</b><code>{escape(path)}</code></h2><p>{escape(said['summary'])}"]
    parts.append(f" {escape(said.get('description', ''))}</p>")
    if path == "/predict":
        key = ' -H "X-API-Key: $KEY"' if asks_key else ""
        lines = (each.replace("curl", f"curl{key}", 1) for each in _EXAMPLES)
        parts += [f"<pre>{escape(line)}</pre>" for line in lines]
        parts.append(f"<p>The answer:</p><pre>{escape(_ANSWER)}</pre>")
        rows = (
            f"<tr><td>{code}</td><td>{escape(each['description'])}</td></tr>"
            for code, each in said["responses"].items()
        )
        parts.append(f"<table>{''.join(rows)}</table>")
    return "".join(parts)
