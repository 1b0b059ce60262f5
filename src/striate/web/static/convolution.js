// A convolution stepped through: which numbers are multiplied, what they sum to, where it goes.

import { h, s, show, slider, tabs } from "./dom.js";

const KERNELS = {
  edge: ["Edge", (k) => grid(k, (r, c) => (c === 0 ? -1 : c === k - 1 ? 1 : 0))],
  blur: ["Blur", (k) => grid(k, () => 1)],
  sharp: ["Sharpen", (k) => { const m = (k - 1) / 2; return grid(k, (r, c) => (r === m && c === m ? 5 : Math.abs(r - m) + Math.abs(c - m) === 1 ? -1 : 0)); }],
};
const grid = (n, value) => Array.from({ length: n }, (_, r) => Array.from({ length: n }, (_, c) => value(r, c)));
const picture = (n) => grid(n, (r, c) => (r + 1 < c * 1.4 ? 2 : r > n - 3 ? 1 : 0) + ((r * 7 + c * 3) % 5 === 0 ? 1 : 0));
const CELL = 34;

export function stepper() {
  const now = { size: 7, kernel: 3, stride: 1, padding: 1, dilation: 1, which: "edge", at: 0 };
  const stage = h("div", { className: "stage" }), sum = h("p", { className: "sum", role: "status" }), formula = h("p", { className: "formula" });
  let timer = null;
  const play = h("button", { className: "button", onclick: () => (timer ? stop() : start()) }, "Play");
  const stop = () => { clearInterval(timer); timer = null; play.textContent = "Play"; };
  const start = () => { timer = setInterval(() => (stage.isConnected ? move(1) : stop()), 650); play.textContent = "Pause"; };

  const reach = () => now.dilation * (now.kernel - 1) + 1;
  const out = () => Math.floor((now.size + 2 * now.padding - reach()) / now.stride) + 1;
  const move = (by) => { const all = Math.max(out(), 0) ** 2; if (all > 0) { now.at = (now.at + by + all) % all; draw(); } };

  function draw() {
    const n = out(), input = picture(now.size), weights = KERNELS[now.which][1](now.kernel), full = now.size + 2 * now.padding;
    const exact = (now.size + 2 * now.padding - reach()) % now.stride;
    show(formula, "output = ⌊(", h("b", {}, now.size), " + 2·", h("b", {}, now.padding), " − ", h("b", {}, now.dilation), "·(", h("b", {}, now.kernel), " − 1) − 1) / ", h("b", {}, now.stride), "⌋ + 1 = ", h("strong", {}, Math.max(n, 0)),
      n < 1 ? " — the filter is larger than the padded input" : exact ? ` — ${exact} of ${full} columns are never reached` : "");
    if (n < 1) { show(stage); show(sum); return; }
    now.at = Math.min(now.at, n * n - 1);
    const row = Math.floor(now.at / n), column = now.at % n;
    const value = (r, c) => (r < 0 || c < 0 || r >= now.size || c >= now.size ? 0 : input[r][c]);
    const answer = (r, c) => weights.reduce((total, line, i) => total + line.reduce((t, w, j) => t + w * value(r * now.stride + i * now.dilation - now.padding, c * now.stride + j * now.dilation - now.padding), 0), 0);
    const taps = new Map();
    weights.forEach((line, i) => line.forEach((w, j) => taps.set(`${row * now.stride + i * now.dilation},${column * now.stride + j * now.dilation}`, w)));
    const answers = grid(n, answer), top = Math.max(1, ...answers.flat().map(Math.abs));
    const left = table(full, full, (r, c) => {
      const pad = r < now.padding || c < now.padding || r >= now.size + now.padding || c >= now.size + now.padding, tap = taps.get(`${r},${c}`);
      return { text: value(r - now.padding, c - now.padding), kind: `${pad ? "pad" : ""} ${tap !== undefined ? "tap" : ""}`, below: tap !== undefined ? `×${tap}` : "" };
    }, "input");
    const right = table(n, n, (r, c) => {
      const done = r * n + c <= now.at, v = answers[r][c];
      return { text: done ? v : "", kind: `${done ? (v < 0 ? "minus" : "plus") : ""} ${r === row && c === column ? "now" : ""}`, share: done ? Math.abs(v) / top : 0, choose: () => { stop(); now.at = r * n + c; draw(); } };
    }, "output");
    const middle = table(now.kernel, now.kernel, (r, c) => ({ text: weights[r][c], kind: weights[r][c] < 0 ? "minus" : weights[r][c] > 0 ? "plus" : "", share: Math.abs(weights[r][c]) / 6 }), "filter");
    show(stage, named("Input, padded", left), h("span", { className: "sign", "aria-hidden": "true" }, "∗"), named("Filter", middle), h("span", { className: "sign", "aria-hidden": "true" }, "="), named("Output", right));
    const terms = weights.flatMap((line, i) => line.map((w, j) => [w, value(row * now.stride + i * now.dilation - now.padding, column * now.stride + j * now.dilation - now.padding)])).filter(([w]) => w);
    show(sum, `Row ${row}, column ${column}: `, terms.map(([w, v], at) => `${at ? " + " : ""}${v}·${w < 0 ? `(${w})` : w}`).join(""), " = ", h("b", {}, answers[row][column]));
  }

  const control = (label, key, min, max) => slider(label, { min, max, step: 1, value: now[key], id: `conv-${key}` }, (value) => { now[key] = value; draw(); });
  draw();
  return h("div", { className: "stepper", tabIndex: -1, onkeydown: (event) => {
    if (event.target.tagName === "INPUT") return;
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (by && event.target.getAttribute("role") !== "tab") { stop(); move(by); event.preventDefault(); }
  } }, h("div", { className: "controls" }, control("Size", "size", 3, 9), control("Kernel", "kernel", 1, 5), control("Stride", "stride", 1, 4), control("Padding", "padding", 0, 3), control("Dilation", "dilation", 1, 3)),
  h("div", { className: "row" }, tabs("Filter", Object.entries(KERNELS).map(([key, [name]]) => [key, name]), now.which, (key) => { now.which = key; draw(); }),
    h("button", { className: "button", "aria-label": "One step back", onclick: () => { stop(); move(-1); } }, "←"), h("button", { className: "button", "aria-label": "One step on", onclick: () => { stop(); move(1); } }, "→"), play), formula, h("div", { className: "wide", tabIndex: 0, role: "region", "aria-label": "Input, filter and output" }, stage), sum);
}

const named = (name, svg) => h("figure", {}, svg, h("figcaption", {}, name));

function table(rows, columns, cell, name) {
  const parts = [];
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      const { text, kind, below = "", share = 0, choose = null } = cell(r, c), x = c * CELL, y = r * CELL;
      const group = s("g", { class: `cell ${kind}` }, s("rect", { x: x + 1, y: y + 1, width: CELL - 2, height: CELL - 2, rx: 4, "fill-opacity": share ? 0.15 + 0.75 * share : null }), s("text", { x: x + CELL / 2, y: y + CELL / 2 + (below ? 1 : 5), "text-anchor": "middle" }, text), below ? s("text", { class: "weight", x: x + CELL / 2, y: y + CELL - 6, "text-anchor": "middle" }, below) : null);
      if (choose) group.addEventListener("click", choose);
      parts.push(group);
    }
  }
  return s("svg", { class: `numbers ${name}`, viewBox: `0 0 ${columns * CELL} ${rows * CELL}`, width: columns * CELL, height: rows * CELL, role: "img", "aria-label": `The ${name}, ${rows} by ${columns} numbers` }, parts);
}
