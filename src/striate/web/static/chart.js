// Curves as SVG: thinned to what can be seen, with a line that follows the mouse.

import { h, s, short } from "./dom.js";

const L = 42, R = 10, T = 10, B = 26;

function nice(low, high, count) {
  const span = high - low || 1, raw = span / count, size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((each) => each * size).find((each) => each >= raw);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-6; at += step) found.push(Number(at.toPrecision(12)));
  return found;
}

// Keep the mean of as many neighbours as fall on one pixel.
export function thinned(points, most = 320) {
  if (points.length <= most) return points;
  const size = points.length / most, found = [];
  for (let at = 0; at < most; at++) {
    const part = points.slice(Math.floor(at * size), Math.max(Math.floor((at + 1) * size), Math.floor(at * size) + 1));
    found.push([part[part.length - 1][0], part.reduce((sum, each) => sum + each[1], 0) / part.length]);
  }
  return found;
}

export function chart(title, { below = "", format = short, low = null, high = null } = {}) {
  const box = h("figure", { className: "chart" });
  let series = [];
  const draw = () => {
    const W = Math.max(240, Math.round((box.clientWidth || 440) - 36)), H = Math.round(Math.min(250, Math.max(170, 0.5 * W)));
    const drawn = series.map((each) => ({ ...each, points: thinned(each.points.filter((p) => Number.isFinite(p[1]))) }));
    const every = drawn.flatMap((each) => each.points);
    if (!every.length) {
      box.replaceChildren(h("figcaption", {}, title), h("p", { className: "quiet" }, "Nothing yet."));
      return;
    }
    const xs = every.map((p) => p[0]), ys = every.map((p) => p[1]).sort((a, b) => a - b);
    const x0 = Math.min(...xs), x1 = Math.max(...xs, x0 + 1e-9);
    const top = high ?? ys[ys.length > 60 ? Math.floor(0.995 * (ys.length - 1)) : ys.length - 1], bottom = low ?? ys[0];
    const room = (top - bottom || Math.abs(top) || 1) * 0.06, y0 = low ?? bottom - room, y1 = high ?? top + room;
    const x = (v) => L + (W - L - R) * ((v - x0) / (x1 - x0 || 1)), y = (v) => T + (H - T - B) * (1 - (Math.min(Math.max(v, y0), y1) - y0) / (y1 - y0 || 1));
    const grid = nice(y0, y1, 4).map((v) => [s("line", { class: "grid", x1: L, x2: W - R, y1: y(v), y2: y(v) }),
      s("text", { class: "tick", x: L - 8, y: y(v) + 4, "text-anchor": "end" }, format(v))]);
    const marks = nice(x0, x1, Math.max(2, Math.min(6, Math.round(W / 70)))).map((v) => s("text", { class: "tick", x: x(v), y: H - 7, "text-anchor": "middle" }, short(v)));
    const paths = drawn.map((each) => s("path", { class: `curve ${each.kind || ""}`, stroke: each.colour,
      d: each.points.map((p, at) => `${at ? "L" : "M"}${x(p[0]).toFixed(1)} ${y(p[1]).toFixed(1)}`).join("") }));
    const dots = drawn.filter((each) => each.dots || each.points.length === 1).flatMap((each) => each.points.map((p) => s("circle", { cx: x(p[0]), cy: y(p[1]), r: 2.6, fill: each.colour })));
    const rule = s("line", { class: "rule", y1: T, y2: H - B, visibility: "hidden" });
    const told = h("div", { className: "told", hidden: true });
    const svg = s("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `${title}: ${drawn.map((each) => each.points.length ? `${each.name} ends at ${format(each.points.at(-1)[1])}` : `${each.name} has nothing yet`).join(", ")}`,
      onmousemove: (event) => {
        const place = svg.getBoundingClientRect(), at = x0 + (x1 - x0) * ((((event.clientX - place.left) / place.width) * W - L) / (W - L - R));
        if (at < x0 || at > x1) return;
        rule.setAttribute("x1", x(at)); rule.setAttribute("x2", x(at)); rule.setAttribute("visibility", "visible");
        told.hidden = false;
        told.style.left = `${Math.min(72, Math.max(6, (100 * x(at)) / W))}%`;
        told.replaceChildren(h("b", {}, `${below} ${short(Math.round(at * 100) / 100)}`), ...drawn.filter((each) => each.points.length).map((each) => {
          const near = each.points.reduce((best, p) => (Math.abs(p[0] - at) < Math.abs(best[0] - at) ? p : best));
          return h("span", {}, h("i", { style: { background: each.colour } }), `${each.name} ${format(near[1])}`);
        }));
      },
      onmouseleave: () => { rule.setAttribute("visibility", "hidden"); told.hidden = true; },
    }, grid, marks, s("text", { class: "axis", x: W - R, y: H - 9, "text-anchor": "end" }, below), paths, dots, rule);
    const legend = h("div", { className: "legend" }, drawn.map((each) => h("span", {}, h("i", { className: each.kind || "", style: { background: each.colour } }), each.name)));
    box.replaceChildren(h("figcaption", {}, title, legend), svg, told);
  };
  let due = 0;
  new ResizeObserver(() => { if (series.length && !due) due = requestAnimationFrame(() => { due = 0; draw(); }); }).observe(box);
  return { box, set(next) { series = next; if (!due) due = requestAnimationFrame(() => { due = 0; draw(); }); } };
}

export function spark(values) {
  if (values.length < 2) return h("span", { className: "spark" });
  const low = Math.min(...values), span = Math.max(...values) - low || 1;
  const d = values.map((v, at) => `${at ? "L" : "M"}${((at * 68) / (values.length - 1) + 1).toFixed(1)} ${(19 - (17 * (v - low)) / span).toFixed(1)}`).join("");
  return s("svg", { class: "spark", viewBox: "0 0 70 20", width: 70, height: 20, "aria-hidden": "true" }, s("path", { d }));
}

// A run's history as it comes: steps and validations, superseded ones left out.
export function follow(address, heard) {
  const story = { steps: [], validations: [], events: [], state: "" };
  const source = new EventSource(address);
  source.onmessage = (event) => {
    const { lines, state } = JSON.parse(event.data);
    story.state = state;
    for (const line of lines) {
      if (line.kind === "step") story.steps.push(line);
      else if (line.kind === "validation") story.validations.push(line);
      else {
        if (line.event === "resumed") {
          story.steps = story.steps.filter((each) => each.step <= line.step);
          story.validations = story.validations.filter((each) => each.step <= line.step);
        }
        story.events.push(line);
      }
    }
    heard(story);
  };
  source.addEventListener("end", () => source.close());
  source.onopen = () => { story.steps = []; story.validations = []; story.events = []; };
  return () => source.close();
}

export const COLOURS = ["var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)", "var(--c5)", "var(--c6)"];
