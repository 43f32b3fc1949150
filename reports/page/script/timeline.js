// The timeline of one run, entry by entry.

const SIDES = ["note", "harness", "subject", "note"];
const BREAKS = /^(cut|eof|rst|fin|exit|kill|crash|close|error)/;
const sideOf = (entry) => {
  const side = named(entry.side, "TRACE_SIDE_", SIDES);
  return side === "harness" || side === "subject" ? side : "note";
};

function timelineSection(exec) {
  const entries = objects(exec.timeline);
  const trace = traceLink(exec);
  if (!entries.length)
    return trace && section("Timeline", "", el("p", null, "The trace is kept in ", trace, "."));
  const blamed = new Map(objects(exec.findings).map((finding) => [number(finding.entry), finding]));
  const lanes = el(
    "div",
    { class: "lanes" },
    el("span", { class: "lane" }, "ms"),
    el("span", { class: "lane left" }, "harness"),
    el("span", { class: "lane right" }, short(whoOf(parseCellId(string(exec.cell))), 120)),
  );
  const start = Math.max(0, entries.length - STEPS);
  const steps = (from, to) =>
    entries
      .slice(from, to)
      .map((entry, i) => step(entry, entries[from + i - 1], blamed.get(number(entry.index))));
  append(lanes, steps(start, entries.length));
  if (start) {
    const anchor = lanes.children[3];
    let from = start;
    const earlier = el(
      "button",
      {
        type: "button",
        "data-earlier": "",
        onclick: () => {
          const to = from;
          from = Math.max(0, from - 1000);
          const before = earlier.nextSibling || anchor;
          for (const node of steps(from, to)) lanes.insertBefore(node, before);
          // The next batch goes before this one.
          if (from) {
            lanes.insertBefore(earlier, lanes.children[3]);
            earlier.textContent = `${grouped(from)} earlier entries`;
          } else earlier.remove();
        },
      },
      `${grouped(start)} earlier entries`,
    );
    earlier.style.gridColumn = "2 / -1";
    lanes.insertBefore(earlier, anchor);
  }
  return section(
    "Timeline",
    plural(entries.length, "entry", "entries"),
    lanes,
    exec.timeline_cut &&
      el(
        "p",
        { class: "cut" },
        "Only a part of the trace is here",
        trace ? ["; all of it is in ", trace] : "",
        ".",
      ),
    !exec.timeline_cut && trace && el("p", { class: "cut" }, "Trace file: ", trace),
  );
}

function step(entry, previous, finding) {
  const side = sideOf(entry);
  const kind = string(entry.kind);
  const label = short(entry.label || entry.text || kind || "entry", 160);
  const text = string(entry.text);
  const gap = previous && number(previous.round) !== number(entry.round);
  const node = el("div", {
    class: [
      "step",
      side,
      BREAKS.test(kind) ? "break" : "",
      finding ? "blamed" : "",
      gap ? "gap" : "",
    ]
      .filter(Boolean)
      .join(" "),
    "data-entry": String(number(entry.index)),
  });
  const button = el(
    "button",
    {
      type: "button",
      "aria-expanded": "false",
      onclick: () => {
        const open = button.getAttribute("aria-expanded") === "true";
        button.setAttribute("aria-expanded", String(!open));
        if (open) node.querySelector(".full").remove();
        else node.append(entryDetail(entry, finding));
      },
    },
    finding && el("span", { class: "sr" }, "finding: "),
    el("b", null, label),
    text && text !== label && " ",
    text && text !== label && el("span", { class: "quiet" }, short(text, 160)),
  );
  append(node, [
    el("time", null, (number(entry.time_us) / 1000).toFixed(3)),
    el("span", { class: "spine" }),
    button,
  ]);
  return node;
}

function entryDetail(entry, finding) {
  return el(
    "div",
    { class: "full" },
    finding && ruleText(finding.rule),
    facts(
      ["entry", String(number(entry.index))],
      ["round", String(number(entry.round))],
      ["kind", short(entry.kind, 60)],
      ["edge", short(entry.edge, 120)],
    ),
    entry.text && blob(entry.text, "Text of the entry", "the trace file"),
    entry.data && blob(hexDump(entry.data), "Bytes of the entry", "the trace file"),
  );
}

// base64 -> the usual three columns, of the first 32 KiB.
function hexDump(base64) {
  let bytes;
  try {
    bytes = atob(string(base64).slice(0, 43692).replace(/-/g, "+").replace(/_/g, "/"));
  } catch {
    return string(base64);
  }
  const lines = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const part = bytes.slice(at, at + 16);
    const hex = [...part].map((c) => c.charCodeAt(0).toString(16).padStart(2, "0"));
    lines.push(
      `${at.toString(16).padStart(6, "0")}  ${hex.join(" ").padEnd(47)}  ${part.replace(/[^\x20-\x7e]/g, ".")}`,
    );
  }
  return lines.join("\n");
}

function showEntry(index) {
  const drawer = byId("drawer");
  const find = () => drawer.querySelector(`.step[data-entry="${Number(index)}"]`);
  for (
    let earlier = drawer.querySelector("[data-earlier]");
    earlier && !find();
    earlier = drawer.querySelector("[data-earlier]")
  )
    earlier.click();
  const node = find();
  if (!node) return;
  const button = node.querySelector("button");
  if (button.getAttribute("aria-expanded") === "false") button.click();
  button.focus();
  node.scrollIntoView({ block: "center" });
}
