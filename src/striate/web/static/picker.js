// The image that is asked about: one of the data, or one dropped on the page.

import { api, get, h, post, say, show, wrong } from "./dom.js";
import { state } from "./main.js";

const PAGE = 24;

// Weights alone come without images, so that there is nothing to ask about before one is dropped.
export const pictureless = (run) => run.state === "weights" && !state.image.startsWith("dropped:");

export function picker(name, run, changed) {
  const strip = h("div", { className: "strip", role: "group", "aria-label": "Images of the data" }), note = h("span", { className: "quiet" });
  let part = state.image.startsWith("dropped") ? "test" : state.image.split(":")[0], first = 0, count = 0;
  const choose = (image) => {
    state.image = image;
    for (const each of strip.children) each.setAttribute("aria-pressed", String(each.dataset.image === image));
    changed();
  };
  const drop = async (file) => {
    if (!file) return;
    try {
      const { image } = await post("/api/pictures", file);
      say(`${file.name || "The picture"} is in.`);
      note.textContent = file.name || "a picture of your own";
      choose(image);
    } catch (error) { show(strip, wrong(error, load)); }
  };
  const load = async () => {
    try {
      const found = await get(api(name, "samples"), { part, first, count: PAGE });
      count = found.count;
      note.textContent = `${first + 1}–${first + found.ids.length} of ${count.toLocaleString("en")}`;
      show(strip, found.ids.map((id, at) => {
        const image = `${part}:${first + at}`;
        return h("button", { type: "button", "data-image": image, "aria-pressed": String(image === state.image), title: `${found.labels[at]} (${id})`, onclick: () => choose(image) },
          h("img", { src: `${api(name, "sample")}?${new URLSearchParams({ part, index: first + at })}`, alt: `${found.labels[at]}, image ${first + at}`, loading: "lazy" }));
      }));
    } catch (error) {
      note.textContent = "its data is not on this machine: drop a picture";
      show(strip);
    }
  };
  const turn = (by) => { const next = first + by * PAGE; if (next >= 0 && next < count) { first = next; load(); } };
  const input = h("input", { type: "file", accept: "image/*", className: "unseen", id: "file", onchange: () => drop(input.files[0]) });
  const box = h("section", { className: "chooser", "aria-label": "The image",
    ondragover: (event) => { event.preventDefault(); box.classList.add("over"); }, ondragleave: () => box.classList.remove("over"),
    ondrop: (event) => { event.preventDefault(); box.classList.remove("over"); drop(event.dataTransfer.files[0]); } },
  h("div", { className: "row" }, run.state === "weights" ? null : [
    h("label", {}, h("span", { className: "unseen" }, "Part of the data"), h("select", { onchange: (event) => { part = event.target.value; first = 0; load(); } }, ["test", "validation", "train"].map((each) => h("option", { value: each, selected: each === part }, each)))),
    h("button", { className: "plain", "aria-label": "Earlier images", onclick: () => turn(-1) }, "←"), h("button", { className: "plain", "aria-label": "Later images", onclick: () => turn(1) }, "→")], note,
    h("label", { className: "button drop", htmlFor: "file" }, "Drop or choose a picture"), input), strip);
  if (run.state !== "weights") load(); else note.textContent = "Weights come without images.";
  return box;
}
