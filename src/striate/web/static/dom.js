// The little that every screen needs: elements, requests, numbers as words.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, given, children) {
  for (const [key, value] of Object.entries(given || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "style") Object.assign(element.style, value);
    else if (key === "vars") for (const [name, v] of Object.entries(value)) element.style.setProperty(name, v);
    else if (key in element && typeof element[key] !== "object" && !(element instanceof SVGElement)) element[key] = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((each) => each !== null && each !== undefined && each !== false));
  return element;
}

export const h = (tag, given, ...children) => fill(document.createElement(tag), given, children);
export const s = (tag, given, ...children) => fill(document.createElementNS(SVG, tag), given, children);

export function show(place, ...children) {
  place.replaceChildren(...children.flat(Infinity).filter(Boolean));
  return place;
}

export class Refused extends Error {
  constructor(status, message) { super(message); this.status = status; }
}

async function ask(address, options) {
  const answer = await fetch(address, options).catch((error) => {
    throw error.name === "AbortError" ? error : new Refused(0, "The page's server does not answer: is striate view still running?");
  });
  const kind = answer.headers.get("content-type") || "";
  const document_ = kind.startsWith("application/json") ? await answer.json() : {};
  if (!answer.ok) throw new Refused(answer.status, document_.error?.message || `The server answered ${answer.status}.`);
  return document_;
}

export const get = (address, query = {}, signal = undefined) => {
  const asked = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== undefined));
  return ask(`${address}${asked.size ? `?${asked}` : ""}`, { signal });
};
export const post = (address, body = {}, signal = undefined) =>
  ask(address, { method: "POST", signal, body: body instanceof Blob ? body : JSON.stringify(body) });
export const api = (name, part = "") => `/api/runs/${encodeURIComponent(name)}${part ? `/${part}` : ""}`;

// Only the last of several requests counts: an earlier one is given up, here and on the server.
export function latest() {
  let control = null;
  return async (work) => {
    control?.abort();
    const own = (control = new AbortController());
    try {
      const found = await work(own.signal);
      return own.signal.aborted ? undefined : found;
    } catch (error) {
      if (error.name === "AbortError" || own.signal.aborted) return undefined;
      throw error;
    }
  };
}

export const percent = (share, digits = 1) => (share === null || share === undefined ? "–" : `${(100 * share).toFixed(digits)}%`);
export const whole = (number) => Math.round(number).toLocaleString("en");
export const brief = (number) => {
  for (const [size, letter] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (Math.abs(number) >= size) return `${(number / size).toPrecision(3)} ${letter}`;
  }
  return `${number}`;
};
export const short = (number) => (number === 0 ? "0" : Math.abs(number) >= 1e4 || Math.abs(number) < 1e-3 ? number.toExponential(1) : `${Number(number.toPrecision(3))}`);
export const by = (shape) => shape.join("×");
export const words = (name) => name.replaceAll("_", " ");

export function wrong(error, again = null) {
  return h("p", { className: "wrong", role: "alert" }, error.message, again && h("button", { className: "plain", onclick: again }, "Try again"));
}
export const waiting = (what) => h("p", { className: "waiting", role: "status" }, h("span", { className: "dots", "aria-hidden": "true" }), what);

export function say(text) { document.getElementById("said").textContent = text; }

// A row of choices, one of them pressed; arrow keys move as in any tab list.
export function tabs(label, names, chosen, choose) {
  const buttons = names.map(([key, text]) => h("button", {
    type: "button", role: "tab", "aria-selected": String(key === chosen), tabIndex: key === chosen ? 0 : -1,
    onclick: () => pick(key),
  }, text));
  const pick = (key) => {
    names.forEach(([each], at) => {
      buttons[at].setAttribute("aria-selected", String(each === key));
      buttons[at].tabIndex = each === key ? 0 : -1;
    });
    choose(key);
  };
  return h("div", { className: "tabs", role: "tablist", "aria-label": label, onkeydown: (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const at = buttons.indexOf(document.activeElement);
    const next = buttons[(at + step + buttons.length) % buttons.length];
    next.focus(); next.click(); event.preventDefault();
  } }, buttons);
}

export function slider(label, { min, max, step, value, text = (v) => v, id }, change) {
  const out = h("output", {}, text(value));
  const input = h("input", { type: "range", min, max, step, value, id, "aria-label": label, "aria-valuetext": `${text(value)}`,
    oninput: () => { out.textContent = text(+input.value); input.setAttribute("aria-valuetext", `${text(+input.value)}`); change(+input.value); } });
  const box = h("label", { className: "slider" }, h("span", {}, label), input, out);
  box.set = (v) => { input.value = v; out.textContent = text(+input.value); };
  box.max = (v) => { input.max = v; out.textContent = text(+input.value); return +input.value; };
  return box;
}
