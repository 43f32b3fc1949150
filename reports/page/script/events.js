// What the keys, the pointer and the URL do; and the start.

byId("main").addEventListener("click", (event) => {
  const td = event.target.closest("td");
  const item = td && state.view === "matrix" && itemAt(placeOf(td));
  if (item) openCell(item.cell);
});

byId("main").addEventListener("keydown", (event) => {
  const td = event.target.closest("td");
  const place = td && placeOf(td);
  if (!place || event.altKey || event.metaKey) return;
  let to = null;
  if (event.key === "Enter" || event.key === " ") openCell(itemAt(place).cell);
  else if (/^(Arrow|Page)/.test(event.key)) to = neighbour(place, event.key);
  else if (event.key === "Home") to = neighbour([event.ctrlKey ? 0 : place[0], -1], "ArrowRight");
  else if (event.key === "End") {
    const row = event.ctrlKey ? grid.length - 1 : place[0];
    to = neighbour([row, grid[row].length], "ArrowLeft");
  } else return;
  event.preventDefault();
  focusCell(to);
});

byId("main").addEventListener("focusin", (event) => {
  if (placeOf(event.target)) setStop(event.target);
});

// The header of the column under the pointer lights up; the tip says what a cell says.
let lit = null;
byId("main").addEventListener("mouseover", (event) => {
  const td = event.target.closest("td");
  if (lit) lit.classList.remove("lit");
  lit = null;
  const head = td && td.closest("tbody") && byId("main").querySelector("thead tr:nth-child(2)");
  if (!head) return;
  lit = head.children[td.cellIndex - 1] || null;
  if (lit) lit.classList.add("lit");
  const item = state.view === "matrix" && !td.title && itemAt(placeOf(td));
  if (!item) return;
  const { cell } = item;
  const why = cell.signatures.length
    ? short(cell.signatures[0].reason, 300)
    : short(cell.raw.unsupported_reason, 300);
  td.title = visible(
    [cellName(cell), short(cell.raw.statement, 200), why].filter(Boolean).join("\n"),
  );
});

// One step for Back per time the filter is edited, not per letter.
byId("filter").addEventListener("input", () => {
  go({ q: byId("filter").value.trimStart() }, typing ? "replace" : "push");
  typing = true;
});
byId("filter").addEventListener("change", () => {
  typing = false;
});
byId("filter").addEventListener("blur", () => {
  typing = false;
});
byId("failures-first").addEventListener("change", (event) =>
  go({ order: event.target.checked ? "" : "spec" }),
);
for (const tab of document.querySelectorAll(".tab")) {
  tab.addEventListener("click", () => go({ view: tab.dataset.view, cell: "", exec: "" }));
}

function fromUrl() {
  if (hashOf() === location.hash) return;
  const before = { ...state };
  typing = false;
  readHash();
  show(before);
}
addEventListener("popstate", fromUrl);
addEventListener("hashchange", fromUrl);

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.target.tagName === "INPUT" && event.target.type !== "checkbox") return;
  if (event.key === "Escape" && state.cell) closeDrawer();
  else if (event.key === "/") {
    byId("filter").focus();
    byId("filter").select();
  } else if (event.key === "n") nextRed(1);
  else if (event.key === "p") nextRed(-1);
  else return;
  event.preventDefault();
});

byId("open-file").addEventListener("click", () => byId("file").click());
byId("file").addEventListener("change", (event) => {
  if (event.target.files[0]) openFile(event.target.files[0]);
  event.target.value = "";
});

let dragging = 0; // dragenter and dragleave come per element
const hasFile = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
const dragTo = (depth) => {
  dragging = Math.max(0, depth);
  byId("drop").hidden = !dragging;
};
addEventListener("dragenter", (event) => {
  if (hasFile(event)) {
    event.preventDefault();
    dragTo(dragging + 1);
  }
});
addEventListener("dragleave", (event) => {
  if (hasFile(event)) dragTo(dragging - 1);
});
addEventListener("dragover", (event) => {
  if (hasFile(event)) event.preventDefault();
});
addEventListener("drop", (event) => {
  if (!hasFile(event)) return;
  event.preventDefault();
  dragTo(0);
  if (event.dataTransfer.files[0]) openFile(event.dataTransfer.files[0]);
});

readHash();
try {
  embedded = readEmbedded();
  load(embedded, "");
} catch (error) {
  load(null, "", `The run in this page could not be read: ${short(error && error.message, 200)}`);
}
