// Image: what the network says of it, why, whether to believe that, and how little fools it.

import { picker, pictureless } from "./picker.js";
import { api, by, get, h, latest, percent, s, say, short, show, slider, tabs, waiting, words, wrong } from "./dom.js";
import { state } from "./main.js";

const MEANING = {
  saliency: "Where a small change moves the score most.",
  smooth_grad: "The same, averaged over noisy copies.",
  input_x_gradient: "The gradient times the pixel.",
  integrated_gradients: "The gradient summed on the way from the mean colour; its sum is the score.",
  guided_backprop: "The gradient, passed by rectifiers only where it is positive.",
  deconvolution: "What is sent back, rectified on the way.",
  grad_cam: "Which places of the last maps speak for the class.",
  occlusion: "What is lost when a square covers it.",
};
const NAMES = { smooth_grad: "SmoothGrad", input_x_gradient: "Input × gradient", grad_cam: "Grad-CAM", guided_backprop: "Guided backprop", integrated_gradients: "Integrated gradients" };
const called = (method) => NAMES[method] || method[0].toUpperCase() + words(method).slice(1);

export async function open(main) {
  const name = state.run;
  show(main, waiting("Opening the network"));
  const [run, sheet, { maps }] = await Promise.all([get(api(name)), get(api(name, "network")), get(api(name, "methods"))]);
  main.toggleAttribute("data-photos", run.size?.[0] >= 96); // else the pixels themselves are looked at
  const last = { answer: latest(), map: latest(), attack: latest(), field: latest() };
  const spaces = sheet.layers.filter((row) => row.output.length === 3 && row.output[1] * row.output[2] > 1);
  let layer = (spaces.find((row) => row.receptive_field.size?.[0] > 8) || spaces[0])?.name, table = null, target = null, unit = null;

  const picture = h("img", { className: "seen", alt: "The image as the network sees it", hidden: true });
  const box = s("rect", { class: "field" }), dot = s("circle", { class: "dot", r: 1.2 });
  const over = s("svg", { class: "over", "aria-hidden": "true" }, box, dot);
  const told = h("p", { className: "quiet", role: "status" }, "Move over the image to see what a unit sees.");
  const frame = h("div", { className: "frame", tabIndex: 0, role: "group", "aria-label": "The image; arrow keys move the unit",
    onpointermove: (event) => {
      if (!table?.rows.length) return;
      const place = frame.getBoundingClientRect();
      at(nearest(table.rows, ((event.clientY - place.top) / place.height) * table.size[0]), nearest(table.columns, ((event.clientX - place.left) / place.width) * table.size[1]));
    },
    onkeydown: (event) => {
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (!step || !table?.rows.length) return;
      event.preventDefault();
      at(Math.max(0, Math.min(table.rows.length - 1, (unit?.[0] ?? 0) + step[0])), Math.max(0, Math.min(table.columns.length - 1, (unit?.[1] ?? 0) + step[1])));
    } }, picture, over);
  const nearest = (spans, place) => spans.reduce((best, span, index) => (Math.abs((span[0] + span[1]) / 2 - place) < Math.abs((spans[best][0] + spans[best][1]) / 2 - place) ? index : best), 0);
  const at = (row, column) => {
    unit = [row, column];
    const [top, bottom] = table.rows[row], [left, right] = table.columns[column];
    over.setAttribute("viewBox", `0 0 ${table.size[1]} ${table.size[0]}`);
    for (const [key, value] of Object.entries({ x: left, y: top, width: right - left, height: bottom - top })) box.setAttribute(key, value);
    dot.setAttribute("cx", (left + right) / 2); dot.setAttribute("cy", (top + bottom) / 2); dot.setAttribute("r", table.size[0] / 80);
    told.textContent = `The unit at row ${row}, column ${column} of ${layer} sees ${bottom - top}×${right - left} pixels, rows ${top} to ${bottom - 1}, columns ${left} to ${right - 1}.`;
  };
  const fields = () => last.field((signal) => get(api(name, "fields"), { layer }, signal)).then((found) => { if (found) { table = found; if (unit && found.rows.length) at(Math.min(unit[0], found.rows.length - 1), Math.min(unit[1], found.columns.length - 1)); } }).catch((error) => { told.textContent = error.message; });

  const answers = h("div", { className: "answers" }), gallery = h("div", { className: "maps" }), enlarged = h("div", { className: "enlarged" });
  const attackBox = h("div", { className: "attack" });
  let kind = "fgsm", eps = 0;
  const most = run.channels === "grey" ? 0.5 : 16 / 255;

  async function answer() {
    if (pictureless(run)) { show(answers, h("p", { className: "quiet" }, "Drop a picture, and ask the network about it.")); return; }
    show(answers, waiting("Asking"));
    try {
      const found = await last.answer((signal) => get(api(name, "answer"), { image: state.image }, signal));
      if (!found) return;
      picture.src = found.picture; picture.hidden = false;
      frame.style.aspectRatio = `${found.size[1]} / ${found.size[0]}`;
      target = found.top[0].class;
      show(answers, topFive(found.top, target, (next) => { target = next; look(); }));
      look(); attack();
    } catch (error) { show(answers, wrong(error, answer)); }
  }

  async function look() {
    const tiles = maps.map((method) => h("li", { "data-method": method }, h("figure", {}, h("div", { className: "shade" }), h("figcaption", {}, h("b", {}, called(method)), h("span", { className: "verdict" }, "…")))));
    show(gallery, h("ul", {}, tiles)); show(enlarged);
    await last.map(async (signal) => {
      const asked = (method) => ({ image: state.image, method, class: target });
      for (const [index, method] of maps.entries()) {
        const tile = tiles[index], figure = tile.querySelector("figure");
        try {
          const found = await get(api(name, "map"), asked(method), signal);
          if (signal.aborted) return;
          const img = h("img", { src: found.overlay, alt: `${called(method)} for ${run.labels[target]}` });
          figure.querySelector(".shade, img, button").replaceWith(h("button", { type: "button", "aria-label": `Enlarge ${called(method)}`, onclick: () => enlarge(method, found, tile) }, img));
          tile.found = found;
          if (method === "grad_cam" || maps.length === 1) enlarge(method, found, tile);
        } catch (error) { if (!signal.aborted) figure.querySelector(".verdict").textContent = error.message; }
      }
      for (const [index, method] of maps.entries()) {
        const tile = tiles[index], verdict = tile.querySelector(".verdict");
        if (!tile.found) continue;
        try {
          verdict.textContent = "being tested";
          const tested = await get(api(name, "validity"), asked(method), signal);
          if (signal.aborted) return;
          tile.tested = tested;
          tile.classList.toggle("doubted", !tested.believable);
          verdict.textContent = tested.believable ? "can be believed" : "not to be believed";
          verdict.classList.add(tested.believable ? "yes" : "no");
          verdict.title = tested.reasons.join("; ");
          if (enlarged.dataset.method === method) enlarge(method, tile.found, tile);
        } catch (error) { if (!signal.aborted) verdict.textContent = error.message; }
      }
      say("All maps are tested.");
    });
  }

  function enlarge(method, found, tile) {
    const tested = tile.tested;
    enlarged.dataset.method = method;
    show(enlarged, h("figure", { className: tested && !tested.believable ? "doubted" : "" }, h("img", { src: found.overlay, alt: `${called(method)}, large` }),
      found.covered ? h("img", { src: found.covered.picture, alt: "Probability by place of the square" }) : null),
    h("div", {}, h("h3", {}, `${called(method)}${found.layer ? ` at ${found.layer}` : ""}`), h("p", {}, MEANING[method] || "", found.signed ? " Orange speaks for it, blue against." : ""),
      found.covered ? h("p", { className: "quiet" }, `The second picture: covered here, ${run.labels[target]} falls to ${percent(found.covered.least)} where it is bright, ${percent(found.covered.most)} where dark.`) : null,
      tested ? h("dl", { className: "facts" }, [["sensitivity", tested.sensitivity === null ? "–" : tested.sensitivity.toFixed(2)], ["beats chance by", tested.faithfulness.toFixed(2)], ["deletion, insertion area", `${tested.areas.deletion.toFixed(2)}, ${tested.areas.insertion.toFixed(2)}`], ["gap", tested.gap === null ? "no theory" : tested.gap.toFixed(2)]].map(([key, value]) => h("div", {}, h("dt", {}, key), h("dd", {}, value)))) : waiting("Being tested"),
      tested ? curves(tested) : null,
      tested && !tested.believable ? h("p", { className: "no" }, `Not to be believed: ${tested.reasons.join("; ")}.`) : null));
  }

  const results = h("div", { className: "fooled" });
  async function attack() {
    try {
      const found = await last.attack((signal) => get(api(name, "attack"), { image: state.image, kind, eps: eps.toFixed(6) }, signal));
      if (!found) return;
      const fooled = found.top[0].class !== found.before.class;
      attackBox.classList.toggle("hit", fooled);
      show(results, h("figure", {}, h("img", { src: found.change, alt: "The change, made visible" }), h("figcaption", {}, "what is added", h("span", {}, `at most ${(255 * found.largest).toFixed(1)} of 255`))),
        h("figure", {}, h("img", { src: found.picture, alt: `The image after the attack, taken for ${found.top[0].label}` }), h("figcaption", {}, h("b", {}, found.top[0].label), h("span", {}, percent(found.top[0].probability)))),
        topFive(found.top, found.before.class));
      results.dataset.label = found.top[0].label;
    } catch (error) { show(results, wrong(error, attack)); }
  }
  show(attackBox, h("h3", {}, "How little fools it"), h("div", { className: "row" },
    tabs("Attack", [["fgsm", "FGSM"], ["pgd", "PGD"], ["noise", "Noise"]], kind, (next) => { kind = next; if (!pictureless(run)) attack(); }),
    slider("eps", { id: "eps", min: 0, max: most, step: most / 64, value: eps, text: (value) => `${(255 * value).toFixed(1)}/255` }, (value) => { eps = value; if (!pictureless(run)) attack(); })), results);

  show(main, h("h1", { className: "unseen" }, `Ask ${name}`), h("div", { className: "asking" },
    h("div", { className: "left" }, picker(name, run, answer), frame,
      spaces.length ? h("label", { className: "row small" }, h("span", {}, "Receptive field of"), h("select", { id: "layer", onchange: (event) => { layer = event.target.value; fields(); } }, spaces.map((row) => h("option", { value: row.name, selected: row.name === layer }, `${row.name} · ${by(row.output)}`)))) : null, told),
    h("div", { className: "right" }, h("section", { className: "panel" }, h("h3", {}, "What it says"), answers), h("section", { className: "panel" }, attackBox))),
  h("section", { className: "panel" }, h("h3", {}, "Why it says so"), gallery, enlarged));
  answer();
  if (layer) fields();
  return () => Object.values(last).forEach((each) => each(async () => null));
}

function curves(tested) {
  const line = (curve) => curve.shares.map((x, at) => `${at ? "L" : "M"}${4 + 112 * x} ${56 - 52 * curve.probabilities[at]}`).join("");
  return h("figure", { className: "curving" }, s("svg", { class: "curves", viewBox: "0 0 120 60", role: "img", "aria-label": "Probability while the image is deleted and inserted in the map's order" }, s("path", { class: "deletion", d: line(tested.deletion) }), s("path", { class: "insertion", d: line(tested.insertion) })), h("figcaption", { className: "legend" }, h("span", {}, h("i", { style: { background: "var(--plus)" } }), "put in"), h("span", {}, h("i", { style: { background: "var(--minus)" } }), "taken away, in the map's order")));
}

export function topFive(top, right, choose = null) {
  return h("ol", { className: "top" }, top.map((each) => {
    const inside = [h("span", { className: "label" }, each.label), h("span", { className: "share" }, percent(each.probability)), h("i", { vars: { "--share": percent(each.probability, 2) } })];
    return h("li", { className: each.class === right ? "on" : "" }, choose ? h("button", { type: "button", title: "Explain this class", onclick: () => choose(each.class) }, inside) : inside);
  }));
}
