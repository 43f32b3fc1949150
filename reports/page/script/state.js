// Where one is, kept in the URL; every change of it goes through go().

let run = readRun([]);
let embedded = null; // the lines this page was written with
let source = ""; // name of a dropped file
let problem = ""; // why there is nothing to show
const state = { view: "matrix", q: "", order: "", cell: "", exec: "" };
const folded = new Set();
let typing = false;

function readHash() {
  const parameters = new URLSearchParams(location.hash.slice(1));
  for (const key of Object.keys(state)) state[key] = parameters.get(key) || "";
  if (state.view !== "rules") state.view = "matrix";
}

function hashOf() {
  const parts = [];
  for (const [key, value] of Object.entries(state)) {
    if (!value || (key === "view" && value === "matrix")) continue;
    const text = encodeURIComponent(value.toWellFormed ? value.toWellFormed() : value);
    parts.push(`${key}=${text.replace(/%20/g, "+").replace(/%3A/g, ":").replace(/%2C/g, ",")}`);
  }
  return parts.length ? "#" + parts.join("&") : "";
}

// change: some of the state. how: 'push' makes a step for Back, 'replace' does not.
function go(change, how = "push") {
  const before = { ...state };
  Object.assign(state, change);
  const hash = hashOf();
  if (hash !== location.hash) {
    history[how === "push" ? "pushState" : "replaceState"](
      null,
      "",
      hash || location.pathname + location.search,
    );
  }
  show(before);
}

function show(before) {
  const all = !before;
  if (byId("filter").value !== state.q) byId("filter").value = state.q;
  byId("failures-first").checked = state.order !== "spec";
  byId("order-label").hidden = state.view !== "matrix";
  for (const tab of document.querySelectorAll(".tab")) {
    if (tab.dataset.view === state.view) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  if (all || before.view !== state.view || before.q !== state.q || before.order !== state.order) {
    showTally();
    if (state.view === "rules") showRules();
    else showMatrix();
  }
  if (all || before.cell !== state.cell || before.exec !== state.exec) {
    showDrawer(all || before.cell !== state.cell);
    markSelected();
  }
}
