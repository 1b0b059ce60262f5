// Train: start a small run, watch filters and answers form, pause, change the rate, go on.

import { COLOURS, chart, follow } from "./chart.js";
import { activations, filters } from "./network.js";
import { api, get, h, latest, percent, post, say, short, show, slider, waiting, wrong } from "./dom.js";
import { go, refresh, state, turnTo } from "./main.js";

const NETS = [["auto", "what suits the data"], ["lenet", "LeNet-5, 1998"], ["conv5-16 pool conv5-20 pool conv5-20 pool FC-10", "ConvNetJS' demo, in notation"]];

export async function open(main) {
  show(main, waiting("Seeing what there is"));
  const status = await get("/api/training");
  const data = h("select", { id: "data" }, status.data.map((each) => h("option", { value: each }, each)));
  const network = h("input", { id: "network", type: "text", value: "auto", list: "nets", spellcheck: false });
  const epochs = h("input", { id: "epochs", type: "number", min: 1, max: 1000, value: 20 }), batch = h("input", { id: "batch", type: "number", min: 1, max: 4096, value: 64 });
  let rate = null;
  const field = (label, input) => h("label", { className: "entry" }, h("span", {}, label), input);
  const mistake = h("div", {}), stage = h("div", { className: "class" });
  const begin = h("button", { className: "button first", onclick: () => act(() => post("/api/training", { data: data.value, network: network.value, epochs: +epochs.value, batch: +batch.value, ...(rate ? { rate } : {}) })) }, "Start");
  const knob = slider("Learning rate", { id: "rate", min: -4, max: 0, step: 0.05, value: -1.5, text: (v) => (rate === null && v === -1.5 ? "auto" : `${Number((10 ** v).toPrecision(2))}`) }, (v) => { rate = Number((10 ** v).toPrecision(3)); });
  show(main, h("div", { className: "head" }, h("div", {}, h("h1", { className: "title" }, "Train"), h("p", { className: "quiet" }, "A small run of your own. What you see is a run folder like any other."))),
    h("form", { className: "panel form", onsubmit: (event) => event.preventDefault() }, field("Data", data), field("Network: a name or notation", network), h("datalist", { id: "nets" }, NETS.map(([value, label]) => h("option", { value }, label))), field("Epochs", epochs), field("Batch", batch), knob, begin), mistake, stage);
  if (!status.possible) { begin.disabled = true; show(mistake, wrong(new Error("There is no folder for new runs: start with striate view FOLDER."))); }
  let closed = false, leave = () => {}, watched = null;
  const act = async (work) => {
    begin.disabled = true; show(mistake);
    try { await settle(await work()); } catch (error) { show(mistake, wrong(error)); }
    begin.disabled = false;
  };
  // The process takes a moment to make its run folder.
  async function settle(found) {
    show(stage, waiting("Starting the process"));
    for (let tries = 0; tries < 120 && !closed; tries++) {
      if (found.error) throw new Error(found.error);
      if (found.run) { await refresh(); attend(found.run, true); return; }
      await new Promise((done) => setTimeout(done, 500));
      found = await get("/api/training");
    }
  }
  function attend(name, begun = false) {
    leave();
    watched = name; turnTo(name); state.image = "test:0";
    leave = classroom(stage, name, act, begun);
  }
  show(stage, h("div", { className: "empty early" }, h("p", {}, "Press Start: the loss falls, filters form, and one image's answers change as they do."), h("p", { className: "quiet" }, "The digits need some ten seconds. Pause at any time, change the learning rate, and go on from there.")));
  if (status.error) show(mistake, wrong(new Error(status.error)));
  if (status.run) attend(status.run);
  else if (state.run && ["running", "interrupted"].includes(state.runs.find((each) => each.name === state.run)?.state)) attend(state.run);
  return () => { closed = true; leave(); };
}

function classroom(stage, name, act, begun) {
  const loss = chart("Loss", { below: "step" }), accuracy = chart("Validation accuracy", { below: "step", format: (v) => `${Math.round(100 * v)}%` });
  const kernels = h("div", {}), answers = h("div", {}), line = h("p", { className: "now", role: "status" }), only = latest();
  let wish = null, layers = [], layer = null, first = null, last = "", closed = false, busy = false, due = null;
  const pause = h("button", { className: "button first", onclick: () => { pause.disabled = true; post("/api/training/pause").catch((error) => { line.textContent = error.message; }); } }, "Pause");
  const on = h("button", { className: "button first", hidden: true, onclick: () => act(() => post(api(name, "resume"), wish ? { rate: wish } : {})) }, "Go on");
  const knob = slider("Learning rate", { id: "new-rate", min: -4, max: 0, step: 0.05, value: -1.5, text: (v) => `${Number((10 ** v).toPrecision(2))}` }, (v) => { wish = Number((10 ** v).toPrecision(3)); note.textContent = "Going on with another rate makes a run of its own, forked here."; });
  knob.hidden = true;
  const note = h("p", { className: "quiet note" });
  get(api(name)).then((run) => { if (wish === null) knob.set(Math.log10(run.settings.optimiser.rate)); }).catch(() => null);
  const chooser = h("select", { "aria-label": "Layer", onchange: (event) => { layer = event.target.value; look(); } });
  show(stage, h("div", { className: "head" }, h("div", {}, h("h2", { className: "title" }, name), line), h("div", { className: "actions" }, knob, pause, on, h("button", { className: "button", onclick: () => go("runs", name) }, "All of it"))), note,
    h("div", { className: "charts two" }, loss.box, accuracy.box), h("div", { className: "forming" }, h("section", { className: "panel" }, h("h3", {}, "Filters, as they form"), kernels), h("section", { className: "panel" }, h("div", { className: "row" }, h("h3", {}, "Answers to one image"), chooser), answers)));
  get(api(name, "network")).then((sheet) => {
    layers = sheet.layers.filter((row) => row.output.length === 3 && row.output[1] > 1);
    first = sheet.layers.find((row) => row.filters)?.name ?? null;
    layer = (layers.find((row) => row.kind.includes("relu")) || layers[0])?.name ?? null;
    show(chooser, layers.map((row) => h("option", { value: row.name, selected: row.name === layer }, row.name)));
    if (+stage.dataset.steps > 2) look();
  }).catch(() => null);
  async function look() {
    if (busy || closed) return;
    busy = true;
    try {
      await only(async (signal) => {
        const [one, two] = await Promise.all([first ? get(api(name, "filters"), { layer: first }, signal) : null, layer ? get(api(name, "activations"), { layer, image: state.image }, signal) : null]);
        if (one) show(kernels, filters(one, () => go("network", name, first)).lastChild);
        if (two) { const shown = activations(two, () => go("network", name, layer)); shown.querySelector("h3")?.remove(); show(answers, shown); }
      });
    } catch (error) { show(kernels, h("p", { className: "quiet" }, "They appear with the first weights.")); }
    busy = false;
  }
  const timer = setInterval(() => { if (last === "running" && +stage.dataset.steps > 2) look(); }, 1000);
  const stop = follow(api(name, "events"), (story) => {
    loss.set([{ name: "training", colour: COLOURS[0], kind: "thin", points: story.steps.map((each) => [each.step, each.loss]) }, { name: "validation", colour: COLOURS[1], dots: true, points: story.validations.map((each) => [each.step, each.loss]) }]);
    accuracy.set([{ name: "validation", colour: COLOURS[1], dots: true, points: story.validations.map((each) => [each.step, each.accuracy]) }]);
    const end = story.steps.at(-1), best = Math.max(...story.validations.map((each) => each.accuracy));
    // Asked to begin, it is the state of before that is told until the process is there.
    const state = begun && story.state === "interrupted" ? "starting" : story.state;
    if (state !== "starting") begun = false;
    line.textContent = [state, end && `step ${end.step}, epoch ${end.epoch}`, end && `loss ${short(end.loss)}`, end && `rate ${short(end.rate)}`, Number.isFinite(best) && `best ${percent(best)}`].filter(Boolean).join(" · ");
    stage.dataset.state = state; stage.dataset.steps = story.steps.length;
    if (state !== last) {
      last = state;
      pause.hidden = last !== "running"; pause.disabled = false;
      on.hidden = !["interrupted", "crashed"].includes(last); knob.hidden = on.hidden;
      say(`${name} is ${last}.`);
      clearTimeout(due); if (story.steps.length > 2) due = setTimeout(look, 400);
    }
  });
  return () => { closed = true; stop(); clearInterval(timer); clearTimeout(due); only(async () => null); };
}
