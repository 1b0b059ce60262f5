// Runs: what there is, how each learnt, what is wrong with it, where it errs; and several side by side.

import { COLOURS, chart, follow, spark } from "./chart.js";
import { api, brief, get, h, percent, short, show, waiting, whole, words, wrong } from "./dom.js";
import { go, refresh, state, turnTo } from "./main.js";

const MANY = 12, MOST = COLOURS.length; // runs that are looked through by eye, and compared
const PERCENT = (value) => `${Math.round(100 * value)}%`;

export async function open(main, [chosen]) {
  await refresh();
  if (!state.runs.length) {
    show(main, h("div", { className: "empty" }, h("h1", {}, "No runs yet"), h("p", {}, "What you train appears here, while it trains."), h("a", { className: "button", href: "#/train" }, "Train one here")));
    return null;
  }
  const picked = new Set([state.runs.some((each) => each.name === chosen) ? chosen : state.run || state.runs[0].name]);
  const detail = h("section", { className: "detail", "aria-label": "The runs chosen" });
  let ends = [];
  const leave = () => { ends.forEach((end) => end()); ends = []; };
  const list = h("ul", { className: "runs" });
  const note = h("p", { className: "quiet", role: "status" }, "Tick several to compare.");
  const wanted = h("input", { type: "search", placeholder: "Find a run", "aria-label": "Find a run by name, network or data", hidden: state.runs.length <= MANY, oninput: () => relist() });
  let shown = "";
  const relist = () => {
    const asked = wanted.value.trim().toLowerCase();
    const found = state.runs.filter((run) => [run.name, run.network, run.data, run.state].join(" ").toLowerCase().includes(asked));
    const now = JSON.stringify([found, [...picked]]);
    if (now === shown) return;
    shown = now;
    const held = list.contains(document.activeElement) ? document.activeElement : null; // whoever stands in the list stays there
    const run = held?.closest("li").dataset.run, kind = held?.tagName;
    show(list, found.map((each) => card(each, picked, redraw)));
    if (held) [...list.children].find((each) => each.dataset.run === run)?.querySelector(kind).focus({ preventScroll: true });
    if (asked) note.textContent = `${whole(found.length)} of ${whole(state.runs.length)} found.`;
  };
  const redraw = (said = "Tick several to compare.") => {
    leave();
    note.textContent = said;
    relist();
    if (picked.size === 1) { turnTo([...picked][0]); ends.push(one(detail, [...picked][0], relist)); } else ends.push(several(detail, [...picked]));
  };
  show(main, h("h1", { className: "unseen" }, "Runs"), h("div", { className: "split" }, h("aside", {}, h("h2", {}, `${whole(state.runs.length)} ${state.runs.length === 1 ? "run" : "runs"}`), note, wanted, list), detail));
  redraw();
  list.querySelector(".on")?.scrollIntoView({ block: "nearest", inline: "start" });
  const going = () => state.runs.filter((each) => picked.has(each.name) && each.state === "running").map((each) => each.name).join();
  const timer = setInterval(async () => {
    if (document.hidden) return;
    const before = going();
    await refresh().catch(() => null);
    const new_ = going().split(",").some((name) => name && !before.split(",").includes(name));
    if (new_) redraw(); else relist();
  }, 4000);
  return () => { clearInterval(timer); leave(); };
}

function card(run, picked, redraw) {
  const on = picked.has(run.name), figure = run.test?.accuracy ?? run.validation;
  const measured = figure === undefined || figure === null ? "" : [h("small", { title: run.test ? "accuracy on test images" : "best accuracy on validation images" }, run.test ? "test" : "val."), ` ${percent(figure)}`];
  return h("li", { className: on ? "on" : "", "data-run": run.name },
    h("input", { type: "checkbox", value: run.name, checked: on, "aria-label": `Compare ${run.name}`, disabled: run.state === "unreadable", onchange: (event) => {
      const full = event.target.checked && picked.size >= MOST;
      if (event.target.checked && !full) picked.add(run.name); else if (!event.target.checked && picked.size > 1) picked.delete(run.name);
      event.target.checked = picked.has(run.name); // the last is not unticked, nor one too many ticked
      redraw(full ? `${MOST} are compared at most: untick one first.` : undefined);
    } }),
    h("button", { type: "button", "aria-current": on ? "true" : null, onclick: () => { picked.clear(); picked.add(run.name); redraw(); } },
      h("b", {}, run.name), h("span", { className: "quiet" }, run.error || `${run.network} · ${brief(run.parameters)} parameters`),
      h("span", { className: "line" }, h("span", { className: `state ${run.state}` }, run.state), run.curve ? spark(run.curve) : null, h("span", { className: "figure" }, measured))));
}

function curves(story) {
  const per = story.steps.length && story.validations.length ? story.validations[0].step / story.validations[0].epoch : null;
  const at = (line) => (per ? line.step / per : line.step);
  return {
    below: per ? "epoch" : "step",
    loss: [{ name: "training", colour: COLOURS[0], kind: "thin", points: story.steps.map((each) => [at(each), each.loss]) },
      { name: "validation", colour: COLOURS[1], dots: true, points: story.validations.map((each) => [at(each), each.loss]) }],
    accuracy: [{ name: "validation", colour: COLOURS[1], dots: true, points: story.validations.map((each) => [at(each), each.accuracy]) }],
    rate: [{ name: "learning rate", colour: COLOURS[2], points: story.steps.map((each) => [at(each), each.rate]) }],
  };
}

function one(detail, name, relist) {
  const known = state.runs.find((each) => each.name === name) || {};
  const head = h("div", { className: "head" }, h("div", {}, h("h2", { className: "title" }, name), h("p", { className: "quiet" }, "")),
    known.state !== "unreadable" && h("div", { className: "actions" }, h("button", { className: "button", onclick: () => go("network", name) }, "Look inside"), h("button", { className: "button", onclick: () => go("image", name) }, "Ask it")));
  const cards = h("dl", { className: "cards" }), rest = h("div", {}), findings = h("section", { className: "panel" }, h("h3", {}, "The doctor"), waiting("Reading the history"));
  const loss = chart("Loss", { below: "epoch" }), accuracy = chart("Accuracy", { below: "epoch", format: PERCENT }), rate = chart("Learning rate", { below: "epoch" });
  const charts = h("div", { className: "charts" }, loss.box, accuracy.box, rate.box);
  const told = !["weights", "unreadable"].includes(known.state); // it has a history
  show(detail, head, cards, told ? charts : null, told ? findings : null, rest);
  let closed = false, stop = () => {};
  const diagnose = () => get(api(name, "findings")).then((found) => closed || show(findings, h("h3", {}, "The doctor"), doctor(found))).catch((error) => closed || show(findings, h("h3", {}, "The doctor"), wrong(error)));
  const fetchAll = () => get(api(name)).then((run) => {
    if (closed) return;
    show(cards, figures(run));
    head.querySelector("p").textContent = [run.network, run.data && `on ${run.data}`, run.parent && `forked from ${run.parent}`, run.created?.slice(0, 16).replace("T", " ")].filter(Boolean).join(" · ");
    show(rest, results(run));
  }).catch((error) => closed || show(rest, wrong(error)));
  fetchAll();
  if (told) {
    diagnose();
    let last = known.state;
    stop = follow(api(name, "events"), (story) => {
      const drawn = curves(story);
      loss.set(drawn.loss); accuracy.set(drawn.accuracy); rate.set(drawn.rate);
      detail.dataset.steps = story.steps.length;
      if (story.state !== last) { last = story.state; fetchAll(); diagnose(); refresh().then(relist).catch(() => null); }
    });
  }
  return () => { closed = true; stop(); };
}

function figures(run) {
  const found = [["State", h("span", { className: `state ${run.state}` }, run.state)]];
  if (run.results) {
    const [low, high] = run.results.interval;
    found.push(["Test accuracy", percent(run.results.accuracy, 2), `${percent(low)} to ${percent(high)}, ${whole(run.results.n)} images`]);
    found.push(["Test loss", run.results.loss.toFixed(4), "nats"], ["Calibration error", `${(100 * run.results.calibration_error).toFixed(2)} points`, "between certainty and accuracy, in the mean"]);
  } else if (run.validation !== null && run.validation !== undefined) found.push(["Validation accuracy", percent(run.validation, 2), `after ${run.epoch} of ${run.epochs} epochs`]);
  found.push(["Parameters", whole(run.parameters), ""], ["Multiply-adds", brief(run.macs), "an image"]);
  return found.map(([name, value, note]) => h("div", {}, h("dt", {}, name), h("dd", {}, h("b", {}, value), note && h("span", {}, note))));
}

function doctor(found) {
  if (!found.length) return h("p", { className: "fine" }, "Nothing found. What curves cannot show, a look at the mistakes may.");
  return h("ul", { className: "findings" }, found.map((each) => h("li", {},
    h("details", {}, h("summary", {}, h("b", {}, words(each.finding)), h("span", { className: "sure", vars: { "--share": percent(each.confidence, 0) } }, `sure to ${percent(each.confidence, 0)}`)),
      h("p", {}, each.meaning), h("p", {}, h("em", {}, "Remedy: "), each.remedy), each.settings.length ? h("code", {}, each.settings.map((one_) => `--set ${one_}`).join("  ")) : null,
      h("p", { className: "quiet" }, Object.entries(each.evidence).map(([key, value]) => `${words(key)} ${typeof value === "number" ? short(value) : value}`).join(" · "))))));
}

function results(run) {
  if (!run.results) return h("div", {});
  const { confusion, classes, mistakes } = run.results;
  return h("div", { className: "results" },
    h("section", { className: `panel ${classes.length > MANY ? "all" : ""}` }, h("h3", {}, "What it takes for what"), matrix(confusion, classes.map((each) => each.label))),
    h("section", { className: `panel ${classes.length > MANY ? "all" : ""}` }, h("h3", {}, mistakes.length ? "Worst mistakes" : "No mistakes"), worst(run, mistakes.slice(0, classes.length > MANY ? 20 : 12))));
}

function matrix(counts, labels) {
  const most = Math.max(1, ...counts.flatMap((row, at) => row.filter((_, to) => to !== at)));
  const said = h("p", { className: "quiet", role: "status" }, "Rows are the right classes, columns the answers.");
  const table = h("table", { className: "confusion", vars: { "--n": labels.length } },
    h("caption", { className: "unseen" }, "Counts by right class and answer"),
    h("thead", {}, h("tr", {}, h("td", {}), labels.map((label) => h("th", { scope: "col", title: label }, h("span", {}, label))))),
    h("tbody", {}, counts.map((row, at) => h("tr", {}, h("th", { scope: "row", title: labels[at] }, labels[at]), row.map((count, to) => {
      const total = row.reduce((sum, each) => sum + each, 0) || 1, share = at === to ? count / total : count / most;
      return h("td", { className: at === to ? "diagonal" : count ? "slip" : "", vars: { "--share": share.toFixed(3) },
        onmouseenter: () => { said.textContent = `${labels[at]}: ${whole(count)} of ${whole(total)} are taken for ${labels[to]}.`; } }, count || "");
    })))));
  const box = h("div", { className: "wide counts", tabIndex: 0, role: "region", "aria-label": "Confusion matrix" }, table);
  const more = h("p", { className: "quiet", hidden: true }, `Scroll sideways to see all ${whole(labels.length)} answers.`);
  new ResizeObserver(() => { more.hidden = box.scrollWidth <= box.clientWidth; }).observe(box);
  return h("div", {}, box, more, said);
}

function worst(run, mistakes) {
  const label = Object.fromEntries(run.ids.map((id, at) => [id, run.labels[at]]));
  return h("ul", { className: "mistakes" }, mistakes.map((each) => h("li", {}, h("figure", {},
    h("img", { src: `${api(run.name, "sample")}?${new URLSearchParams({ part: "test", id: each.sample })}`, alt: `${label[each.id]} taken for ${label[each.answer]}`, loading: "lazy" }),
    h("figcaption", {}, h("b", {}, label[each.answer]), ` ${percent(each.probability, 0)}`, h("span", {}, `is ${label[each.id]}`))))));
}

function several(detail, names) {
  const accuracy = chart("Validation accuracy", { below: "epoch", format: PERCENT }), loss = chart("Validation loss", { below: "epoch" }), training = chart("Training loss", { below: "epoch" });
  const stories = {}, table = h("div", { className: "panel wide" }, waiting("Reading"));
  show(detail, h("div", { className: "head" }, h("h2", { className: "title" }, `${names.length} runs compared`)), h("div", { className: "charts" }, accuracy.box, loss.box, training.box), table);
  const draw = () => {
    const all = (pick) => names.filter((name) => stories[name]).map((name) => ({ name, colour: COLOURS[names.indexOf(name) % COLOURS.length], dots: true, points: pick(curves(stories[name])) }));
    accuracy.set(all((each) => each.accuracy[0].points)); loss.set(all((each) => each.loss[1].points));
    training.set(all((each) => each.loss[0].points).map((each) => ({ ...each, dots: false, kind: "thin" })));
  };
  const stops = names.filter((name) => !["weights", "unreadable"].includes(state.runs.find((each) => each.name === name)?.state)).map((name) => follow(`${api(name, "events")}?paused=end`, (story) => { stories[name] = story; draw(); }));
  Promise.all(names.map((name) => get(api(name)))).then((found) => show(table, h("h3", {}, "Side by side"), compared(found))).catch((error) => show(table, wrong(error)));
  return () => stops.forEach((stop) => stop());
}

function flat(value, path = "") {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return { [path]: Array.isArray(value) ? JSON.stringify(value) : value };
  return Object.assign({}, ...Object.entries(value).map(([key, each]) => flat(each, path ? `${path}.${key}` : key)));
}

function compared(found) {
  const rows = [["network", (run) => run.network], ["parameters", (run) => whole(run.parameters)], ["multiply-adds", (run) => brief(run.macs)], ["state", (run) => run.state],
    ["best validation accuracy", (run) => percent(run.validation, 2)], ["test accuracy", (run) => percent(run.results?.accuracy, 2)], ["test loss", (run) => run.results?.loss.toFixed(4) ?? "–"]];
  const settings = found.map((run) => flat(run.settings || {}));
  const keys = [...new Set(settings.flatMap(Object.keys))].filter((key) => !["reason", "name"].includes(key) && new Set(settings.map((each) => String(each[key]))).size > 1).slice(0, 40);
  const line = (name, cells) => h("tr", {}, h("th", { scope: "row" }, name), cells.map((cell) => h("td", { title: `${cell ?? ""}` }, `${cell ?? "–"}`)));
  return h("div", { className: "wide", tabIndex: 0, role: "region", "aria-label": "Side by side" }, h("table", { className: "sheet" },
    h("thead", {}, h("tr", {}, h("td", {}), found.map((run, at) => h("th", { scope: "col" }, h("i", { className: "swatch", style: { background: COLOURS[at % COLOURS.length] } }), run.name)))),
    h("tbody", {}, rows.map(([name, pick]) => line(name, found.map(pick))), keys.length ? h("tr", { className: "part" }, h("th", { colSpan: found.length + 1 }, "settings that differ")) : null, keys.map((key) => line(key, settings.map((each) => each[key]))))));
}
