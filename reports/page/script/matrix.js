// The matrix: scenarios by columns, and the way around in it by keys.

let grid = []; // rows of cells as shown: {td, cell} or null
let places = new Map(); // cell id -> [row, column]
let placeOfTd = new WeakMap();

// "rust", or "rust serving swift".
const whoOf = (place) => place.subject + (place.client ? ` serving ${place.client}` : "");

const cellName = (cell) => {
  const counted = cell.status === "flaky" ? `, ${cell.red} of ${cell.runs} runs red` : "";
  return (
    `${STATUS.get(cell.status).word}${counted}: ${cell.scenario}, ${whoOf(cell)}` +
    `${cell.conduit ? " " + cell.conduit : ""}, ${directionWords(cell.direction)}`
  );
};

function showMatrix() {
  const main = byId("main");
  const scroll = [main.scrollLeft, main.scrollTop];
  grid = [];
  places = new Map();
  main.replaceChildren();
  if (!run.cells.size) {
    byId("count").textContent = "";
    main.append(
      el(
        "div",
        { class: "empty" },
        el("h2", null, "No run to show"),
        "Drop a run.jsonl anywhere on this page, or open one with the button above. It is read here and sent nowhere.",
      ),
    );
    return;
  }
  const filter = parseFilter(state.q);
  const matching = new Set();
  for (const cell of run.cells.values()) if (cellMatches(filter, cell)) matching.add(cell);
  byId("count").textContent = `${grouped(matching.size)} of ${plural(run.cells.size, "cell")}`;
  if (!matching.size) {
    main.append(
      el(
        "div",
        { class: "empty" },
        el("h2", null, "No cell matches"),
        el("p", null, "The filter ", el("code", null, short(state.q)), " leaves nothing. "),
        el(
          "button",
          {
            type: "button",
            onclick: () => {
              go({ q: "" });
              byId("filter").focus();
            },
          },
          "Clear the filter",
        ),
      ),
    );
    return;
  }
  const inUse = new Set([...matching].map((cell) => cell.column));
  const columns = run.columns.filter((column) => inUse.has(column.key));
  const rows = run.rows.filter((row) => [...row.cells.values()].some((cell) => matching.has(cell)));

  const table = el("table", {
    class: "grid",
    role: "grid",
    "aria-label": "Scenarios by subject and direction",
  });
  table.style.setProperty("--columns", columns.length);
  table.style.setProperty("--longest", Math.max(...rows.map((row) => row.name.length)));
  table.append(
    el(
      "colgroup",
      null,
      el("col"),
      columns.map(() => el("col", { class: "data" })),
    ),
    matrixHead(columns),
  );
  for (const { key, title, note, rows: members } of sections(rows, columns, matching)) {
    const open = !folded.has(key);
    const body = el("tbody");
    body.append(
      el(
        "tr",
        { class: "section" },
        el(
          "th",
          { colspan: columns.length + 1, scope: "rowgroup" },
          el(
            "button",
            {
              type: "button",
              "aria-expanded": String(open),
              onclick: () => {
                if (!folded.delete(key)) folded.add(key);
                showMatrix();
                const again = [...byId("main").querySelectorAll(".section button")].find(
                  (button) => button.dataset.key === key,
                );
                if (again) again.focus();
              },
              "data-key": key,
            },
            title,
            " ",
            el("span", { class: "quiet" }, note),
          ),
        ),
      ),
    );
    if (open) for (const row of members) body.append(matrixRow(row, columns, matching));
    table.append(body);
  }
  main.append(table);
  [main.scrollLeft, main.scrollTop] = scroll;
  markSelected();
}

// What is red comes first and in one place, the rest stays in the order of the spec.
function sections(rows, columns, matching) {
  const redOf = (row) =>
    columns.filter((column) => {
      const cell = row.cells.get(column.key);
      return cell && matching.has(cell) && RED.has(cell.status);
    }).length;
  const reds = new Map(rows.map((row) => [row, redOf(row)]));
  const result = [];
  const first = state.order !== "spec";
  if (first) {
    const red = rows.filter((row) => reds.get(row)).sort((a, b) => reds.get(b) - reds.get(a));
    const cells = red.reduce((sum, row) => sum + reds.get(row), 0);
    if (red.length) {
      result.push({
        key: "red",
        title: "Not green",
        note: `${plural(cells, "cell")} in ${plural(red.length, "scenario")}`,
        rows: red,
      });
    }
  }
  for (const group of run.groups) {
    const members = rows.filter((row) => row.group === group && !(first && reds.get(row)));
    if (!members.length) continue;
    const cells = members.reduce((sum, row) => sum + reds.get(row), 0);
    result.push({
      key: "group " + group,
      title: short(group, 80),
      note:
        plural(members.length, "scenario") + (cells ? `, ${plural(cells, "cell")} not green` : ""),
      rows: members,
    });
  }
  return result;
}

const startsPlace = (columns, i) => i === 0 || columns[i - 1].place !== columns[i].place;

function matrixHead(columns) {
  const top = el(
    "tr",
    null,
    el("th", { class: "corner name", rowspan: 2, scope: "col" }, "Scenario"),
  );
  const bottom = el("tr");
  columns.forEach((column, i) => {
    if (startsPlace(columns, i)) {
      let span = 1;
      while (i + span < columns.length && columns[i + span].place === column.place) span += 1;
      const subject =
        objects((run.header || {}).subjects).find((s) => string(s.id) === column.subject) || {};
      const about = [
        subject.name,
        subject.version,
        subject.language,
        subject.mutant && `mutant ${subject.mutant}`,
        column.transport,
        column.conduit,
      ]
        .map((text) => short(text, 80))
        .filter(Boolean)
        .join(" · ");
      top.append(
        el(
          "th",
          { colspan: span, scope: "colgroup", class: "edge", title: about },
          short(column.subject, 60),
          column.client && el("span", { class: "quiet" }, " serves"),
          column.variant && el("span", { class: "quiet" }, " " + short(column.variant, 40)),
        ),
      );
    }
    bottom.append(
      el(
        "th",
        {
          scope: "col",
          class: startsPlace(columns, i) ? "edge" : null,
          title: column.client ? whoOf(column) : directionWords(column.direction),
          "aria-label": `${whoOf(column)} ${column.variant} ${directionWords(column.direction)}`,
        },
        short(column.client || directionShort(column.direction), 40),
      ),
    );
  });
  return el("thead", null, top, bottom);
}

function matrixRow(row, columns, matching) {
  const tr = el("tr", { class: "row" });
  tr.append(
    el(
      "th",
      { class: "name", scope: "row", title: short(`${row.name}\n${row.summary}`, 600) },
      el("span", { class: "mono" }, short(row.name)),
      " ",
      el("span", { class: "quiet" }, short(row.summary, 160)),
    ),
  );
  const line = [];
  columns.forEach((column, i) => {
    const cell = row.cells.get(column.key);
    const td = document.createElement("td");
    if (cell) {
      const { glyph } = STATUS.get(cell.status);
      const classes = [
        cell.status,
        startsPlace(columns, i) ? "edge" : "",
        matching.has(cell) ? "" : "off",
      ];
      td.className = classes.filter(Boolean).join(" ");
      td.textContent = cell.status === "flaky" ? `${glyph} ${cell.red}/${cell.runs}` : glyph;
      td.tabIndex = -1;
      td.setAttribute("aria-label", visible(cellName(cell)));
      places.set(cell.id, [grid.length, i]);
      placeOfTd.set(td, [grid.length, i]);
      line.push({ td, cell });
    } else {
      td.className = "blank";
      line.push(null);
    }
    tr.append(td);
  });
  grid.push(line);
  return tr;
}

const placeOf = (td) => placeOfTd.get(td) || null;
const itemAt = (place) => place && grid[place[0]] && grid[place[0]][place[1]];

// The next cell from `place` for an arrow key, or null at the edge.
function neighbour(place, key) {
  const [down, right] = {
    ArrowUp: [-1, 0],
    ArrowDown: [1, 0],
    ArrowLeft: [0, -1],
    ArrowRight: [0, 1],
    PageUp: [-12, 0],
    PageDown: [12, 0],
  }[key];
  let [row, column] = [place[0] + down, place[1] + right];
  if (Math.abs(down) > 1) row = Math.max(0, Math.min(grid.length - 1, row));
  while (grid[row] && column >= 0 && column < grid[row].length) {
    if (grid[row][column]) return [row, column];
    row += Math.sign(down);
    column += Math.sign(right);
  }
  return null;
}

let stopTd = null; // the one cell of the grid that is in the tab order
function setStop(td) {
  if (stopTd) stopTd.tabIndex = -1;
  stopTd = td;
  if (td) td.tabIndex = 0;
}

function markSelected() {
  for (const td of byId("main").querySelectorAll("[aria-selected]"))
    td.removeAttribute("aria-selected");
  const open = itemAt(places.get(state.cell));
  if (open) open.td.setAttribute("aria-selected", "true");
  const first = grid.length ? grid.flat().find(Boolean) : null;
  if (open) setStop(open.td);
  else if (!stopTd || !stopTd.isConnected) setStop(first ? first.td : null);
}

// Scrolls as little as brings a cell out from under the names and the header.
function reveal(td) {
  const main = byId("main");
  main.style.setProperty("--pinned", `${main.querySelector(".corner").offsetWidth}px`);
  td.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function focusCell(place) {
  const item = itemAt(place);
  if (!item) return;
  setStop(item.td);
  item.td.focus({ preventScroll: true });
  reveal(item.td);
}

// From where one is, row by row, and around.
function nextRed(step) {
  const flat = grid.flat().filter(Boolean);
  const isRed = (item) => RED.has(item.cell.status) && !item.td.classList.contains("off");
  const here = flat.findIndex((item) =>
    state.cell ? item.cell.id === state.cell : item.td === document.activeElement,
  );
  let at = here < 0 && step < 0 ? 0 : here;
  for (let n = 0; n < flat.length; n += 1) {
    at = (at + step + flat.length) % flat.length;
    if (isRed(flat[at])) break;
  }
  const next = flat[at];
  if (!next || !isRed(next)) return;
  if (state.cell) {
    go({ cell: next.cell.id, exec: "" }, "replace");
    reveal(next.td);
  } else focusCell(places.get(next.cell.id));
}
