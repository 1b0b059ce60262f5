// Network: the drawing from paper; a layer's figures, filters and answers; a unit's patches and wish.

import { picker, pictureless } from "./picker.js";
import { api, brief, by, get, h, latest, percent, short, show, tabs, waiting, whole, wrong } from "./dom.js";
import { state } from "./main.js";

const sheets = new Map();

// The drawing brings its own colours; a policy that allows no inline style is met by adopting them.
export function adopt(text) {
  const colours = /<style>([^<]*)<\/style>/.exec(text);
  if (colours && !sheets.has(colours[1])) {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(colours[1]);
    sheets.set(colours[1], sheet);
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  }
  const parsed = new DOMParser().parseFromString(text.replace(colours?.[0] ?? "", ""), "image/svg+xml");
  return document.importNode(parsed.documentElement, true);
}

export function field(row) {
  const found = row.receptive_field;
  return found.whole ? "all" : found.size.length ? by(found.size) : "–";
}

export function sheetTable(layers, chosen = null, choose = null) {
  const most = Math.max(1, ...layers.map((each) => each.macs)), heaviest = Math.max(1, ...layers.map((each) => each.parameters));
  const bar = (value, top) => h("td", { className: "n bar", vars: { "--share": percent(value / top) } }, value ? whole(value) : "");
  return h("div", { className: "wide", tabIndex: 0, role: "region", "aria-label": "Layers" }, h("table", { className: "sheet" },
    h("thead", {}, h("tr", {}, ["layer", "what", "output", "parameters", "multiply-adds", "field", "stride"].map((name, at) => h("th", { scope: "col", className: at > 1 ? "n" : "" }, name)))),
    h("tbody", {}, layers.map((row) => h("tr", { className: row.name === chosen ? "on" : "" },
      h("th", { scope: "row" }, choose ? h("button", { className: "plain", onclick: () => choose(row.name) }, row.name) : row.name), h("td", {}, row.caption), h("td", { className: "n" }, by(row.output)),
      bar(row.parameters, heaviest), bar(row.macs, most), h("td", { className: "n" }, field(row)), h("td", { className: "n" }, row.receptive_field.whole ? "" : row.receptive_field.stride?.[0] ?? ""))))));
}

// Cut an atlas into cells that can be chosen one by one, or walked through with the arrow keys.
export function cells(atlas, label, choose, { most = 256, mark = () => "" } = {}) {
  const rows = Math.ceil(atlas.count / atlas.columns), side = Math.max(34, Math.min(88, Math.round(300 / Math.sqrt(Math.min(atlas.count, 64)))));
  const grid = h("div", { className: "cells", role: "group", "aria-label": label, vars: { "--side": `${side}px`, "--ratio": atlas.tile[0] / atlas.tile[1] } });
  for (let at = 0; at < Math.min(atlas.count, most); at++) {
    const column = at % atlas.columns, row = Math.floor(at / atlas.columns);
    grid.append(h("button", { type: "button", tabIndex: at ? -1 : 0, "aria-label": `${label} ${at}`, title: mark(at) || `${at}`, onclick: (event) => {
      grid.querySelector("[aria-pressed]")?.removeAttribute("aria-pressed");
      event.currentTarget.setAttribute("aria-pressed", "true");
      choose(at);
    }, style: { backgroundImage: `url(${atlas.png})`, backgroundSize: `${100 * atlas.columns}% ${100 * rows}%`,
      backgroundPosition: `${atlas.columns > 1 ? (100 * column) / (atlas.columns - 1) : 0}% ${rows > 1 ? (100 * row) / (rows - 1) : 0}%` } }));
  }
  return walked(grid, () => Math.max(1, Math.round(grid.clientWidth / (side + 4))));
}

// One of many buttons is reached by the tab key, the others from it by the arrow keys.
function walked(grid, wide = () => 1) {
  grid.addEventListener("keydown", (event) => {
    const own = [...grid.children], at = own.indexOf(document.activeElement);
    const next = own[at + ({ ArrowRight: 1, ArrowLeft: -1, ArrowDown: wide(), ArrowUp: -wide() }[event.key] ?? 0)];
    if (!next || next === own[at]) return;
    own[at].tabIndex = -1; next.tabIndex = 0; next.focus(); event.preventDefault();
  });
  return grid;
}

export function scale(atlas) {
  return h("div", { className: "scale" }, h("span", {}, short(atlas.low)), h("i", { className: atlas.signed ? "signed" : "heat" }), h("span", {}, short(atlas.high)));
}

export async function open(main, [, wanted]) {
  const name = state.run;
  show(main, waiting("Drawing the network"));
  const [sheet, run] = await Promise.all([get(api(name, "network")), get(api(name))]);
  if (!sheet.layers) throw new Error("There is nothing to draw.");
  main.toggleAttribute("data-photos", run.size?.[0] >= 96);
  const inspector = h("section", { className: "inspector", "aria-label": "The layer chosen" }), place = h("div", { className: "place" }), weights = h("section", { className: "weights", "aria-label": "Filters" });
  const last = { layer: latest(), unit: latest() };
  let layer = null, channel = null, view = innerWidth < 760 ? "table" : "drawing", svg = null;

  const choose = (next) => { layer = next; channel = null; mark(); inspect(); };
  const drawing = () => {
    if (!svg) {
      svg = adopt(sheet.drawing);
      svg.removeAttribute("width"); svg.removeAttribute("height");
      const box = svg.viewBox.baseVal;
      svg.style.width = `${Math.round(box.width)}px`;
      const names = new Set(sheet.layers.map((row) => row.name));
      for (const group of svg.querySelectorAll("g > title")) {
        const key = group.textContent.split(": ")[0], inside = sheet.layers.filter((row) => row.name === key || row.name.startsWith(`${key}.`));
        const target = names.has(key) ? key : inside.at(-1)?.name;
        if (!target) continue;
        const box_ = group.parentElement;
        box_.dataset.layer = target;
        box_.setAttribute("role", "button"); box_.setAttribute("tabindex", "0"); box_.setAttribute("aria-label", group.textContent);
        box_.addEventListener("click", () => choose(target));
        box_.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(target); } });
      }
      svg.setAttribute("role", "group");
    }
    return h("div", { className: "drawing", tabIndex: 0, role: "region", "aria-label": "The drawing of the network" }, svg);
  };
  const mark = () => {
    for (const group of place.querySelectorAll("[data-layer]")) group.classList.toggle("on", group.dataset.layer === layer);
    if (view === "table") show(place, sheetTable(sheet.layers, layer, choose));
    const box = place.firstElementChild, on = box?.querySelector(".on");
    if (!on) return;
    const inner = on.getBoundingClientRect(), outer = box.getBoundingClientRect();
    if (inner.left < outer.left || inner.right > outer.right || inner.top < outer.top || inner.bottom > outer.bottom) {
      box.scrollBy(inner.left - outer.left - (outer.width - inner.width) / 2, inner.top - outer.top - (outer.height - inner.height) / 2);
    }
  };
  const draw = () => { show(place, view === "drawing" ? drawing() : sheetTable(sheet.layers, layer, choose)); mark(); };

  async function inspect() {
    const row = sheet.layers.find((each) => each.name === layer), units = h("div", { className: "units" }), unit = h("div", { className: "unit" });
    show(inspector, h("h2", {}, row.name), h("p", { className: "quiet" }, row.caption),
      h("dl", { className: "cards small" }, [["Volume", by(row.output)], ["Parameters", whole(row.parameters)], ["Multiply-adds", brief(row.macs)], ["Receptive field", field(row), !row.receptive_field.whole && row.receptive_field.stride?.length ? `every ${row.receptive_field.stride[0]} px` : ""]].map(([key, value, note]) => h("div", {}, h("dt", {}, key), h("dd", {}, h("b", {}, value), note && h("span", {}, note))))), unit, units);
    show(weights);
    await last.layer(async (signal) => {
      show(units, waiting("Looking"));
      const kernels = row.filters ? await get(api(name, "filters"), { layer }, signal) : null;
      if (signal.aborted) return;
      show(weights, kernels ? filters(kernels, pick) : null);
      if (pictureless(run)) show(units, h("p", { className: "quiet" }, "Drop a picture, and see what each unit answers to it."));
      else {
        const answers = await get(api(name, "activations"), { layer, image: state.image }, signal);
        if (signal.aborted) return;
        show(units, activations(answers, pick, layer === sheet.layers.at(-1).name ? run.labels : []));
      }
      if (kernels && row === sheet.layers.find((each) => each.filters)) {
        get(api(name, "gabor"), {}, signal).then((found) => signal.aborted || weights.append(h("p", { className: "quiet" }, classical(found)))).catch(() => null);
      }
    }).catch((error) => show(units, wrong(error, inspect)));
    if (channel !== null) pick(channel);

    async function pick(at) {
      channel = at;
      const title = () => h("h3", {}, `Unit ${at} of ${layer}${layer === sheet.layers.at(-1).name && run.labels[at] ? `: ${run.labels[at]}` : ""}`);
      show(unit, title(), waiting("Searching the training images, and painting what it wants"));
      unit.scrollIntoView({ block: "nearest", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
      const patches = h("div", {}, waiting("Searching 1,000 training images")), wish = h("figure", { className: "wish" }, waiting("Painting"));
      show(unit, title(), h("div", { className: "wanting" }, wish, patches));
      await last.unit(async (signal) => {
        const one = run.state === "weights" ? show(patches, h("p", { className: "quiet" }, "Top patches are searched among a run's training images; weights come without any.")) : get(api(name, "patches"), { layer, channel: at }, signal).then((found) => signal.aborted || show(patches, top(found))).catch((error) => signal.aborted || show(patches, wrong(error)));
        const two = get(api(name, "wish"), { layer, channel: at }, signal).then((found) => signal.aborted || show(wish, h("img", { src: found.picture, alt: `A picture made to excite unit ${at}` }),
          h("figcaption", {}, h("b", {}, "What it wants"), found.probability === null ? `answers ${short(found.answer)}, noise ${short(found.start)}` : `the network says ${percent(found.probability)}`))).catch((error) => signal.aborted || show(wish, wrong(error)));
        await Promise.all([one, two]);
      });
    }
  }

  show(main, h("div", { className: "head" }, h("div", {}, h("h1", { className: "title" }, sheet.network), h("p", { className: "quiet" }, `${whole(sheet.totals.parameters)} parameters · ${brief(sheet.totals.macs)} multiply-adds · input ${by(sheet.input)}`)),
    tabs("View", [["drawing", "Drawing"], ["table", "Table"]], view, (next) => { view = next; draw(); })),
    h("div", { className: "bench" }, h("div", { className: "looking" }, place, weights), h("div", { className: "side" }, picker(name, run, () => { if (layer) inspect(); }), inspector)));
  choose(sheet.layers.some((each) => each.name === wanted) ? wanted : (sheet.layers.find((each) => each.filters) || sheet.layers[0]).name);
  draw();
  return () => { last.layer(async () => null); last.unit(async () => null); };
}

export function activations(answers, pick, labels = []) {
  if (!answers.atlas) {
    const named = labels.length === answers.values.length ? labels : [], top = named[answers.values.indexOf(Math.max(...answers.values))];
    return h("div", {}, h("h3", {}, "What each unit answers ", h("span", { className: "quiet" }, `${whole(answers.shape.reduce((all, each) => all * each, 1))} numbers${top ? `, the largest that of ${top}` : ""}`)), bars(answers.values, pick, named));
  }
  return h("div", {}, h("h3", {}, "What each unit answers ", h("span", { className: "quiet" }, `${answers.shape[0]} maps of ${by(answers.shape.slice(1))}, ${percent(answers.idle, 0)} idle`)),
    cells(answers.atlas, "map", pick, { mark: (at) => `unit ${at}, at most ${short(answers.peaks[at])}` }), scale(answers.atlas));
}

function bars(values, pick, labels) {
  const size = Math.max(...values.map(Math.abs), 1e-12), named = labels.length && labels.length <= 40;
  const grid = h("div", { className: `bars ${named ? "named" : ""}`, role: "group", "aria-label": "units" }, values.map((value, at) => {
    const said = `unit ${at}${labels[at] ? `, ${labels[at]}` : ""}: ${short(value)}`;
    return h("button", { type: "button", tabIndex: at ? -1 : 0, "aria-label": said, title: said, onclick: (event) => {
      grid.querySelector("[aria-pressed]")?.removeAttribute("aria-pressed");
      event.currentTarget.setAttribute("aria-pressed", "true");
      pick(at);
    } }, named && h("span", {}, labels[at]), h("i", { className: value < 0 ? "minus" : "plus", vars: { "--size": (Math.abs(value) / size).toFixed(4) } }), named && h("span", { className: "n" }, short(value)));
  }));
  return h("div", { className: "wide" }, walked(grid));
}

export function filters(kernels, pick) {
  return h("div", {}, h("h3", {}, "Filters ", h("span", { className: "quiet" }, `${by(kernels.shape)}${kernels.whole ? "" : ", each by its main spatial part"}, grey is zero`)), cells(kernels.atlas, "filter", pick));
}

function classical({ gabor, nearest, chance }) {
  const mean = (values) => values.reduce((sum, each) => sum + each, 0) / values.length;
  const near = `The cosine with the nearest classical filter (edge, Sobel, Gabor, Gaussian) is ${mean(nearest.map((each) => each.cosine)).toFixed(2)} on average (of random filters of this size ${chance.cosine.toFixed(2)}).`;
  return gabor[0].determined ? `A Gabor function explains ${percent(mean(gabor.map((each) => each.explained)), 0)} of a filter's energy on average (of a random one's ${percent(chance.gabor, 0)}). ${near}` : near;
}

function top(found) {
  if (!found.patches.length) return h("p", { className: "quiet" }, `None of ${whole(found.searched)} training images excites it: on this data it is dead.`);
  const back = h("label", { className: "check" }, h("input", { type: "checkbox", checked: true, onchange: (event) => list.classList.toggle("plainly", !event.target.checked) }), "with what excites it, by deconvolution");
  const list = h("ul", { className: "patches" }, found.patches.map((each) => h("li", {}, h("figure", {}, h("img", { src: each.pixels, alt: `Patch of image ${each.sample}` }), h("img", { className: "back", src: each.reconstruction, alt: "What in it excites the unit" }), h("figcaption", {}, short(each.value))))));
  return h("div", {}, h("h4", {}, `Top patches among ${whole(found.searched)} training images`), list, back);
}
