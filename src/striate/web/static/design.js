// Design: a network follows its notation as it is typed; a convolution goes step by step.

import { stepper } from "./convolution.js";
import { by, brief, h, latest, post, show, whole } from "./dom.js";
import { adopt, sheetTable } from "./network.js";

const FIRST = "INPUT 32x32x3\n[(CONV-RELU)*2 - POOL]*3\nFC-128 FC-10";
const EXAMPLES = [["VGG's words", "conv3-64 conv3-64 maxpool conv3-128 conv3-128 maxpool FC-256 FC-10"], ["A pattern", FIRST], ["A listing", "INPUT 227x227x3\nCONV1: 96 11x11 filters at stride 4, pad 0\nMAX POOL1: 3x3 filters at stride 2\nCONV2: 256 5x5 filters at stride 1, pad 2\nMAX POOL2: 3x3 filters at stride 2\nFC3: 1000 neurons"], ["A name", "resnet18"], ["A mistake", "INPUT 32x32x3\nconv5-16/2 maxpool conv99-32p0\nFC-10"]];

export async function open(main) {
  const only = latest(), remembered = sessionStorage.getItem("notation") || FIRST;
  const area = h("textarea", { id: "notation", spellcheck: false, autocapitalize: "off", "aria-describedby": "mistake", rows: 6, value: remembered });
  const below = h("pre", { className: "mirror", "aria-hidden": "true" });
  const mistake = h("p", { id: "mistake", role: "status" }), shown = h("div", { className: "designed" });
  const mark = (error) => {
    area.setAttribute("aria-invalid", String(Boolean(error)));
    if (!error) { show(mistake); show(below); return; }
    const lines = area.value.split("\n"), line = (error.line ?? 1) - 1, column = (error.column ?? 1) - 1;
    const position = lines.slice(0, line).reduce((sum, each) => sum + each.length + 1, 0) + Math.min(column, (lines[line] || "").length);
    if (error.line) {
      const end = position + Math.max(1, (/^[^\s,;|()[\]]+/.exec(area.value.slice(position)) || [" "])[0].length);
      show(below, document.createTextNode(area.value.slice(0, position)), h("mark", {}, area.value.slice(position, end) || " "), document.createTextNode(`${area.value.slice(end)}\n`));
      below.scrollTop = area.scrollTop;
    } else show(below);
    show(mistake, error.line ? h("button", { className: "plain where", onclick: () => { area.focus(); area.setSelectionRange(position, position); } }, `Line ${error.line}, column ${error.column}`) : null,
      h("span", {}, error.message), error.near?.length && !error.line ? h("span", {}, " Near: ", error.near.map((each) => h("button", { className: "plain", onclick: () => { area.value = each; typed(); } }, each))) : null);
    mistake.dataset.column = error.column ?? "";
  };
  const typed = async () => {
    sessionStorage.setItem("notation", area.value);
    area.rows = Math.min(14, Math.max(6, area.value.split("\n").length + 1));
    try {
      const found = await only((signal) => post("/api/design", { text: area.value }, signal));
      if (!found) return;
      mark(found.error);
      shown.classList.toggle("old", Boolean(found.error));
      if (found.network) show(shown, sheet(found.network));
    } catch (error) { mark({ message: error.message }); }
  };
  let due = 0;
  area.addEventListener("input", () => { clearTimeout(due); due = setTimeout(typed, 120); });
  area.addEventListener("scroll", () => { below.scrollTop = area.scrollTop; });
  show(main, h("div", { className: "head" }, h("div", {}, h("h1", { className: "title" }, "Design"), h("p", { className: "quiet" }, "Write a network as papers do; sheet and drawing follow as you type."))),
    h("section", { className: "writing" }, h("div", { className: "editor" }, h("label", { className: "unseen", htmlFor: "notation" }, "Paper notation, or a network's name"), below, area),
      h("div", { className: "row examples" }, EXAMPLES.map(([name, text]) => h("button", { className: "chip", onclick: () => { area.value = text; typed(); } }, name))), mistake), shown,
    h("section", { className: "panel" }, h("h2", {}, "A convolution, number by number"), stepper()));
  typed();
  return () => clearTimeout(due);
}

function sheet(network) {
  const total = network.totals, reach = total.receptive_field;
  const svg = adopt(network.drawing);
  const facts = [["Parameters", whole(total.parameters)], ["Multiply-adds", brief(total.macs), "an image"], ["Activations", brief(total.activation_bytes), "bytes an image"], ["Receptive field", reach.whole ? "everything" : by(reach.size), "of the last maps"], ["Layers", whole(network.layers.length)]];
  return h("div", {}, h("dl", { className: "cards" }, facts.map(([key, value, note]) => h("div", {}, h("dt", {}, key), h("dd", {}, h("b", {}, value), note && h("span", {}, note))))),
    network.notes.length ? h("ul", { className: "notes" }, network.notes.slice(0, 5).map((note) => h("li", {}, note))) : null,
    h("div", { className: "drawing", tabIndex: 0, role: "region", "aria-label": "The drawing of the network" }, svg), sheetTable(network.layers));
}
