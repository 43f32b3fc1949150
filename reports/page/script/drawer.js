// The drawer of one cell: opening, closing, its head, and which sections it has.

let wantsFocus = false; // a person opened it, so focus goes in

function openCell(cell) {
  wantsFocus = true;
  go({ cell: cell.id, exec: "" });
}

function closeDrawer() {
  const place = places.get(state.cell);
  go({ cell: "", exec: "" });
  if (place) focusCell(place);
  else byId("main").focus();
}

function showDrawer(another) {
  const place = byId("drawer-place");
  const cell = run.cells.get(state.cell);
  const body = place.querySelector(".body");
  const kept = !another && body ? body.scrollTop : 0;
  const inside = place.contains(document.activeElement);
  const focusedRun = inside && document.activeElement.dataset.exec;
  place.replaceChildren();
  if (!state.cell) return;
  const drawer = el("div", { id: "drawer", role: "dialog", "aria-labelledby": "drawer-title" });
  if (!cell) {
    append(drawer, [
      drawerHead(null, state.cell),
      el("div", { class: "body" }, el("section", null, "This run has no such cell.")),
    ]);
  } else {
    append(drawer, [drawerHead(cell), drawerBody(cell)]);
  }
  drawer.addEventListener("keydown", trapTab);
  place.append(drawer);
  drawer.querySelector(".body").scrollTop = kept;
  if (wantsFocus || inside) {
    const button =
      focusedRun &&
      [...drawer.querySelectorAll("[data-exec]")].find((b) => b.dataset.exec === focusedRun);
    (button || drawer.querySelector(".head")).focus();
  }
  wantsFocus = false;
  const shown = itemAt(places.get(state.cell));
  if (shown && another) reveal(shown.td);
}

function trapTab(event) {
  if (event.key !== "Tab") return;
  const stops = [...event.currentTarget.querySelectorAll('button, a[href], [tabindex="0"]')].filter(
    (node) => !node.disabled && node.getClientRects().length,
  );
  const [first, last] = [stops[0], stops[stops.length - 1]];
  const leaving = event.shiftKey ? [first, event.currentTarget.querySelector(".head")] : [last];
  if (!leaving.includes(document.activeElement)) return;
  event.preventDefault();
  (event.shiftKey ? last : first).focus();
}

function drawerHead(cell, id) {
  const head = el("div", { class: "head", tabindex: -1 });
  head.addEventListener("keydown", (event) => {
    if (!event.key.startsWith("Arrow") || event.altKey || event.ctrlKey || event.metaKey) return;
    const from = places.get(state.cell);
    const to = from && neighbour(from, event.key);
    event.preventDefault();
    if (to) go({ cell: itemAt(to).cell.id, exec: "" }, "replace");
  });
  const close = el(
    "button",
    {
      type: "button",
      class: "icon",
      "aria-label": "Close",
      title: "Close (Esc)",
      onclick: closeDrawer,
    },
    "✕",
  );
  if (!cell) {
    append(head, [
      el("div", { class: "title" }, el("h2", { id: "drawer-title" }, short(id)), close),
    ]);
    return head;
  }
  const { glyph, word } = STATUS.get(cell.status);
  append(head, [
    el(
      "div",
      { class: "title" },
      el("span", { class: `mark ${cell.status}` }, `${glyph} ${word}`),
      el("h2", { id: "drawer-title" }, short(cell.scenario)),
      el(
        "button",
        {
          type: "button",
          class: "icon",
          "aria-label": "Previous red cell",
          title: "Previous red cell (p)",
          onclick: () => nextRed(-1),
        },
        "↑",
      ),
      el(
        "button",
        {
          type: "button",
          class: "icon",
          "aria-label": "Next red cell",
          title: "Next red cell (n)",
          onclick: () => nextRed(1),
        },
        "↓",
      ),
      close,
    ),
    el(
      "p",
      { class: "quiet" },
      [
        short(whoOf(cell), 120),
        [cell.transport, cell.conduit]
          .filter(Boolean)
          .map((t) => short(t, 40))
          .join(" "),
        directionWords(short(cell.direction, 60)),
        short(cell.group, 60),
      ]
        .filter(Boolean)
        .join(" · "),
    ),
    cell.summary && el("p", null, short(cell.summary, 600)),
  ]);
  return head;
}

function chosenExec(cell) {
  const asked = run.execById.get(state.exec);
  if (asked && string(asked.cell) === cell.id) return asked;
  const execs = run.execs.get(cell.id) || [];
  return (
    execs.find((exec) => string(exec.id) === string(cell.raw.first_failing_exec)) ||
    execs.find((exec) => verdictOf(exec) !== "pass") ||
    execs[0] ||
    null
  );
}

function drawerBody(cell) {
  const exec = chosenExec(cell);
  const body = el("div", { class: "body", tabindex: 0, role: "group", "aria-label": "Details" });
  append(body, [countsSection(cell), signaturesSection(cell, exec), runsSection(cell, exec)]);
  if (exec) {
    append(body, [
      verdictSection(exec),
      commandsSection(exec),
      findingsSection(exec),
      faultsSection(exec),
      timelineSection(exec),
      stderrSection(exec),
      aboutSection(exec),
    ]);
  }
  append(body, [rulesJudgedSection(cell, exec)]);
  return body;
}
