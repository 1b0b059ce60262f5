// The page: which screen the address asks for, and which run the screens are about.

import { api, get, h, show, wrong } from "./dom.js";

const SCREENS = {
  runs: () => import("./runs.js"),
  network: () => import("./network.js"),
  image: () => import("./image.js"),
  design: () => import("./design.js"),
  train: () => import("./train.js"),
};
const NEEDS_RUN = ["network", "image"];
const main = document.getElementById("main"), picker = document.querySelector(".picker"), select = document.getElementById("run");

export const state = { runs: [], run: null, image: "test:0" };

// Another run: an image of the data is of the old one's, a picture of one's own is asked about again.
export function turnTo(name) {
  if (name !== state.run && !state.image.startsWith("dropped:")) state.image = "test:0";
  state.run = name;
}
let leave = null, turn = 0;

export async function refresh() {
  state.runs = await get("/api/runs");
  const usable = state.runs.filter((each) => each.state !== "unreadable");
  if (!usable.some((each) => each.name === state.run)) state.run = usable[0]?.name ?? null;
  show(select, usable.map((each) => h("option", { value: each.name, selected: each.name === state.run }, each.name)));
  return state.runs;
}

export const go = (...parts) => { location.hash = `#/${parts.map(encodeURIComponent).join("/")}`; };

async function route() {
  const own = ++turn;
  const [screen = "runs", ...rest] = location.hash.replace(/^#\//, "").split("/").filter(Boolean).map(decodeURIComponent);
  const known = screen in SCREENS ? screen : "runs";
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#/${known}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${known[0].toUpperCase()}${known.slice(1)} · striate`;
  leave?.();
  leave = null;
  try {
    const [module] = await Promise.all([SCREENS[known](), state.runs.length ? null : refresh()]);
    if (own !== turn) return;
    if (NEEDS_RUN.includes(known)) {
      if (rest[0] && rest[0] !== state.run && state.runs.some((each) => each.name === rest[0])) turnTo(rest[0]);
      select.value = state.run;
      if (!state.run) { show(main, h("div", { className: "empty" }, h("h1", {}, "No runs yet"), h("p", {}, "Train a network first: "), h("a", { className: "button", href: "#/train" }, "Train one here"))); return; }
    }
    picker.hidden = !NEEDS_RUN.includes(known);
    main.dataset.screen = known;
    const screen = h("div", { className: "screen" });  // its own: a slow one draws where nobody looks any more
    show(main, screen);
    const end = (await module.open(screen, rest)) ?? null;
    if (own === turn) leave = end;
    else end?.();
  } catch (error) {
    if (own === turn) show(main, wrong(error, route));
  }
}

select.addEventListener("change", () => {
  turnTo(select.value);
  go(location.hash.split("/")[1] || "network", state.run);
});
addEventListener("hashchange", () => { route(); main.focus({ preventScroll: true }); scrollTo(0, 0); });
route();
export { api };
