// The page of one run: reads the lines of run.jsonl, shows the matrix, the drawer of one cell and
// the rules. Contract: #run-data holds one JSON array of counterpart.report.v1.Line in protobuf
// JSON (snake_case, defaults left out, 64-bit integers as strings, enums by name). Whatever came
// from a subject reaches the document as text nodes only, bounded. Nothing is fetched or stored.
"use strict";
(() => {
  // ---- text ------------------------------------------------------------------------------------

  const SHOWN = 10000; // characters of a blob shown at first
  const MOST = 100000; // characters of a blob shown at all
  const STEPS = 300; // timeline entries shown at first; the last ones, where a run goes wrong
  const RUNS = 120; // runs offered at first in a drawer

  const number = (value) => (typeof value === "object" ? 0 : Number(value) || 0);
  const string = (value) => {
    if (value === undefined || value === null) return "";
    return typeof value === "object" ? JSON.stringify(value) : String(value);
  };
  const list = (value) => (Array.isArray(value) ? value : []);
  const strings = (value) => list(value).map(string);
  const objects = (value) => list(value).filter((item) => item && typeof item === "object");
  const grouped = (value) => number(value).toLocaleString("en");
  const plural = (n, one, many) => `${grouped(n)} ${n === 1 ? one : many || one + "s"}`;

  // Control and direction-changing characters are shown, not obeyed.
  function visible(text) {
    return text
      .replace(/[\u0000-\u0008\u000b-\u001f]/g, (c) =>
        String.fromCharCode(0x2400 + c.charCodeAt(0)),
      )
      .replace(/\u007f/g, "\u2421")
      .replace(
        /[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
        (c) => "\\u" + c.charCodeAt(0).toString(16),
      )
      .replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd");
  }

  // One line of at most `most` characters.
  function short(value, most = 200) {
    const text = string(value);
    return text.length > most ? text.slice(0, most) + "…" : text;
  }

  function duration(us) {
    const n = number(us);
    if (n < 1000) return `${n} µs`;
    if (n < 1e6) return `${(n / 1e3).toFixed(n < 1e4 ? 2 : 1)} ms`;
    if (n < 6e7) return `${(n / 1e6).toFixed(n < 1e7 ? 2 : 1)} s`;
    const seconds = Math.floor(n / 1e6);
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
    return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds / 60) % 60} min`;
  }

  // Rounded down, so that 100 % means all; something is never 0 %.
  function percent(part, whole) {
    if (!whole) return "–";
    const value = Math.floor((100 * part) / whole);
    return part && !value ? "<1 %" : `${value} %`;
  }

  // A rate of failure as decimal text, in per cent.
  const rate = (value) => (100 * number(value)).toFixed(2);

  // ---- elements --------------------------------------------------------------------------------

  const byId = (id) => document.getElementById(id);

  // el('p', {class, title, onclick, …}, 'text', node, [nodes]): strings become text nodes.
  function el(tag, properties, ...children) {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(properties || {})) {
      if (value === undefined || value === null || value === false) continue;
      if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
      else node.setAttribute(key, value === true ? "" : visible(String(value)));
    }
    append(node, children);
    return node;
  }

  function append(node, children) {
    for (const child of children.flat(Infinity)) {
      if (child === undefined || child === null || child === false || child === "") continue;
      node.append(child instanceof Node ? child : visible(String(child)));
    }
  }

  // Text of any length: the first 10,000 characters, on demand up to 100,000, then a note.
  function blob(value, name, place = "the trace or run.jsonl") {
    const text = string(value);
    const pre = el("pre", { tabindex: 0, role: "group", "aria-label": name }, text.slice(0, SHOWN));
    if (text.length <= SHOWN) return pre;
    const note = el(
      "span",
      null,
      `${grouped(SHOWN)} of ${grouped(text.length)} characters shown. `,
    );
    const box = el("div", { class: "blob" }, pre, el("p", { class: "cut" }, note));
    const more = el(
      "button",
      {
        type: "button",
        class: "plain",
        onclick: () => {
          pre.textContent = visible(text.slice(0, MOST));
          note.textContent =
            text.length > MOST
              ? `Cut at ${grouped(MOST)} of ${grouped(text.length)} characters; the rest is in ${place}.`
              : `All ${grouped(text.length)} characters.`;
          more.remove();
          pre.focus();
        },
      },
      "Show all",
    );
    box.lastChild.append(more);
    return box;
  }

  // Prose stays prose until it is long.
  const prose = (value, name) => (string(value).length > SHOWN ? blob(value, name) : string(value));

  function facts(...pairs) {
    const box = el("dl", { class: "facts" });
    for (const [term, value] of pairs) {
      if (value === "" || value === undefined || value === null) continue;
      box.append(el("div", null, el("dt", null, term), " ", el("dd", null, value)));
    }
    return box.childElementCount ? box : null;
  }

  const section = (title, note, ...content) =>
    el(
      "section",
      null,
      el("h3", null, title, note && [" ", el("span", { class: "quiet" }, note)]),
      content,
    );

  // ---- the run ---------------------------------------------------------------------------------

  const STATUS = new Map([
    ["fail", { glyph: "✗", word: "failed" }],
    ["flaky", { glyph: "~", word: "flaky" }],
    ["error", { glyph: "!", word: "error" }],
    ["nostart", { glyph: "!", word: "subject did not start" }],
    ["inconclusive", { glyph: "?", word: "inconclusive" }],
    ["pass", { glyph: "✓", word: "passed" }],
    ["stale", { glyph: "†", word: "stale expectation" }],
    ["known", { glyph: "×", word: "red as expected" }],
    ["unsupported", { glyph: "–", word: "unsupported" }],
    ["notrun", { glyph: "·", word: "not run" }],
  ]);
  const RED = new Set(["fail", "flaky", "error", "inconclusive", "stale", "nostart"]);
  const CELL_STATUS = [
    "notrun",
    "pass",
    "fail",
    "flaky",
    "inconclusive",
    "error",
    "unsupported",
    "notrun",
    "known",
    "stale",
    "nostart",
  ];
  const CELL_NAMES = [
    "UNSPECIFIED",
    "PASS",
    "FAIL",
    "FLAKY",
    "INCONCLUSIVE",
    "ERROR",
    "UNSUPPORTED",
    "NOT_RUN",
    "KNOWN",
    "STALE",
    "NO_START",
  ];
  const VERDICTS = ["none", "pass", "inconclusive", "fail", "error"];
  const ENDINGS = ["normal", "unsupported", "crash", "stall", "leak", "no start", "interrupted"];
  const DIRECTIONS = new Map([
    ["harness_to_subject", { short: "H → S", words: "harness to subject" }],
    ["subject_to_harness", { short: "S → H", words: "subject to harness" }],
    ["bidirectional", { short: "H ⇄ S", words: "bidirectional" }],
  ]);

  const named = (value, prefix, names) =>
    typeof value === "number"
      ? names[value] || names[0]
      : string(value).replace(prefix, "").toLowerCase().replace("_", " ") || names[0];
  const verdictOf = (exec) => named(exec.verdict, "VERDICT_", VERDICTS);
  const endingOf = (exec) => named(exec.ending, "ENDING_", ENDINGS);
  const markOf = (verdict) => (STATUS.has(verdict) ? verdict : "inconclusive");

  function statusOf(cell) {
    const value = cell.status;
    const index =
      typeof value === "number"
        ? value
        : CELL_NAMES.indexOf(string(value).replace("CELL_STATUS_", ""));
    return CELL_STATUS[index] || "notrun";
  }

  const directionOf = (text) => string(text).replace(/^direction_/, "");
  const directionWords = (direction) =>
    (DIRECTIONS.get(direction) || { words: direction.replace(/_/g, " ") }).words;
  const directionShort = (direction) => (DIRECTIONS.get(direction) || { short: direction }).short;

  // lang_<lang>_transport_<t>[_conduit_<c>]::direction_<d>::<scenario>
  // lang_<lang>_server_<lang>_client_<t>[_conduit_<c>]::direction_bidirectional::<scenario>
  function parseCellId(id) {
    const [where = "", direction = "", ...rest] = id.split("::");
    const match = /^lang_(.+?)_transport_(.+?)(?:_conduit_(.+))?$/.exec(where);
    const pair = !match && /^lang_(.+?)_server_(.+)_client_(.+?)(?:_conduit_(.+))?$/.exec(where);
    return {
      subject: match ? match[1] : pair ? pair[1] : where.replace(/^lang_/, ""),
      client: pair ? pair[2] : "",
      transport: match ? match[2] : pair ? pair[3] : "",
      conduit: match ? match[3] || "" : pair ? pair[4] || "" : "",
      direction: directionOf(direction),
      scenario: rest.join("::"),
    };
  }

  // An incomplete run has no cell lines: what the execs say so far.
  function cellOfExecs(id, execs) {
    const cell = {
      id,
      ...parseCellId(id),
      runs: 0,
      passed: 0,
      inconclusive: 0,
      failed: 0,
      errors: 0,
      signatures: [],
    };
    const signatures = new Map();
    const rules = new Set();
    for (const exec of execs) {
      if (endingOf(exec) === "interrupted") continue;
      if (endingOf(exec) === "unsupported") {
        cell.unsupported = true;
        cell.unsupported_reason = exec.reason;
        continue;
      }
      cell.runs += 1;
      const verdict = verdictOf(exec);
      if (verdict === "pass") cell.passed += 1;
      else if (verdict === "fail") cell.failed += 1;
      else if (verdict === "error") cell.errors += 1;
      else cell.inconclusive += 1; // none at the end is never green
      for (const rule of strings(exec.rules_judged)) rules.add(rule);
      if (verdict === "pass") continue;
      if (!cell.first_failing_exec) cell.first_failing_exec = exec.id;
      const key = string(exec.signature) || string(exec.reason);
      const known = signatures.get(key);
      if (known) known.count += 1;
      else
        signatures.set(key, {
          signature: key,
          rule: exec.rule,
          reason: exec.reason,
          count: 1,
          exec: exec.id,
        });
    }
    cell.rules_judged = [...rules];
    cell.signatures = [...signatures.values()].sort((a, b) => b.count - a.count);
    const red = cell.failed + cell.errors;
    if (cell.errors) cell.status = 5;
    else if (red && red === cell.runs) cell.status = 2;
    else if (red) cell.status = 3;
    else if (cell.inconclusive) cell.status = 4;
    else if (cell.passed) cell.status = 1;
    else cell.status = cell.unsupported ? 6 : 7;
    return cell;
  }

  // lines: Line objects. Returns the model every view is derived from.
  function readRun(lines) {
    const run = {
      header: null,
      footer: null,
      scenarios: new Map(),
      execs: new Map(),
      execById: new Map(),
      cells: new Map(),
      rules: new Map(),
      subjects: [],
      columns: [],
      rows: [],
      embedding: { unreadable_lines: 0, left_out_execs: 0 },
    };
    const cellLines = [];
    for (const line of objects(lines)) {
      if (line.header) run.header = line.header;
      else if (line.scenario) run.scenarios.set(string(line.scenario.name), line.scenario);
      else if (line.exec) {
        const cell = string(line.exec.cell);
        if (!run.execs.has(cell)) run.execs.set(cell, []);
        run.execs.get(cell).push(line.exec);
        run.execById.set(string(line.exec.id), line.exec);
      } else if (line.cell) cellLines.push(line.cell);
      else if (line.footer) run.footer = line.footer;
      else if (line.embedding) Object.assign(run.embedding, line.embedding);
    }
    const header = run.header || {};
    for (const rule of objects(header.rules)) run.rules.set(string(rule.id), rule);
    for (const exec of run.execById.values()) exec.ordinal = number(exec.ordinal);
    for (const execs of run.execs.values()) execs.sort((a, b) => a.ordinal - b.ordinal);

    const known = new Set(cellLines.map((cell) => string(cell.id)));
    for (const [id, execs] of run.execs) if (!known.has(id)) cellLines.push(cellOfExecs(id, execs));
    const declared = objects(header.subjects).map((subject) => string(subject.id));
    if (!run.footer) addCellsNotRun(run, cellLines, declared);
    for (const cell of cellLines) addCell(run, cell);
    layOut(run, declared);
    return run;
  }

  function addCellsNotRun(run, cellLines, declared) {
    const known = new Set(cellLines.map((cell) => string(cell.id)));
    const places = new Map();
    for (const cell of cellLines) {
      const place = {
        subject: string(cell.subject),
        transport: string(cell.transport),
        conduit: string(cell.conduit),
        client: string(cell.client),
      };
      places.set(JSON.stringify(place), place);
    }
    const ofOne = [...places.values()].filter((place) => !place.client);
    const seen = new Set(ofOne.map((place) => place.subject));
    const common = { transport: "tcp", conduit: "", client: "" };
    for (const subject of declared) {
      if (!seen.has(subject)) places.set(subject, { ...common, subject });
      for (const client of declared) {
        const pair = { subject, transport: "tcp", conduit: "bare", client };
        if (client !== subject) places.set(JSON.stringify(pair), pair);
      }
    }
    for (const scenario of run.scenarios.values()) {
      for (const place of places.values()) {
        for (const direction of strings(scenario.directions).map(directionOf)) {
          if ((direction === "bidirectional") !== Boolean(place.client)) continue;
          const conduit =
            place.conduit && place.conduit !== "bare" ? `_conduit_${place.conduit}` : "";
          const transport = place.transport || "tcp";
          const where = place.client
            ? `lang_${place.subject}_server_${place.client}_client_${transport}`
            : `lang_${place.subject}_transport_${transport}`;
          const id = `${where}${conduit}::direction_${direction}::${scenario.name}`;
          if (!known.has(id))
            cellLines.push({ id, ...place, direction, scenario: scenario.name, status: 7 });
        }
      }
    }
  }

  function addCell(run, raw) {
    const id = string(raw.id) || "(no id)";
    const parsed = parseCellId(id);
    const scenarioName = string(raw.scenario) || parsed.scenario;
    const scenario = run.scenarios.get(scenarioName) || {};
    const cell = {
      id,
      raw,
      scenario: scenarioName,
      subject: string(raw.subject) || parsed.subject,
      client: string(raw.client) || parsed.client,
      transport: string(raw.transport) || parsed.transport,
      conduit: string(raw.conduit) || parsed.conduit,
      direction: directionOf(raw.direction) || parsed.direction,
      group: string(raw.group) || string(scenario.group) || "other",
      summary: string(scenario.summary),
      status: statusOf(raw),
      runs: number(raw.runs),
      passed: number(raw.passed),
      failed: number(raw.failed),
      errors: number(raw.errors),
      inconclusive: number(raw.inconclusive),
      signatures: objects(raw.signatures),
    };
    cell.red = cell.failed + cell.errors;
    cell.place = JSON.stringify([cell.subject, cell.transport, cell.conduit, Boolean(cell.client)]);
    cell.column = JSON.stringify([cell.place, cell.direction, cell.client]);
    cell.rules = new Set([
      ...strings(raw.rules_judged),
      ...strings(scenario.rules),
      ...cell.signatures.map((s) => string(s.rule)),
    ]);
    cell.hay = [
      id,
      cell.group,
      cell.summary,
      string(raw.statement),
      ...cell.rules,
      ...cell.signatures.map((s) => `${short(s.signature, 2000)} ${short(s.reason, 2000)}`),
    ]
      .join("\n")
      .toLowerCase();
    run.cells.set(id, cell);
  }

  // Columns: subject, then transport and conduit, then direction; after them pairs, server first.
  // Rows: scenarios as declared.
  function layOut(run, declared) {
    const rank = (order, item) => (order.includes(item) ? order.indexOf(item) : order.length);
    const directions = [...DIRECTIONS.keys()];
    const columns = new Map();
    const rows = new Map();
    const groups = [];
    const scenarios = [...run.scenarios.keys()];
    for (const cell of run.cells.values()) {
      if (!columns.has(cell.column))
        columns.set(cell.column, {
          key: cell.column,
          place: cell.place,
          subject: cell.subject,
          client: cell.client,
          transport: cell.transport,
          conduit: cell.conduit,
          direction: cell.direction,
        });
      const key = JSON.stringify([cell.group, cell.scenario]);
      if (!rows.has(key))
        rows.set(key, {
          key,
          name: cell.scenario,
          group: cell.group,
          summary: cell.summary,
          cells: new Map(),
        });
      rows.get(key).cells.set(cell.column, cell);
    }
    run.columns = [...columns.values()].sort(
      (a, b) =>
        Boolean(a.client) - Boolean(b.client) ||
        rank(declared, a.subject) - rank(declared, b.subject) ||
        a.subject.localeCompare(b.subject) ||
        a.place.localeCompare(b.place) ||
        rank(declared, a.client) - rank(declared, b.client) ||
        a.client.localeCompare(b.client) ||
        rank(directions, a.direction) - rank(directions, b.direction) ||
        a.direction.localeCompare(b.direction),
    );
    run.rows = [...rows.values()].sort(
      (a, b) => rank(scenarios, a.name) - rank(scenarios, b.name) || a.name.localeCompare(b.name),
    );
    for (const row of run.rows) if (!groups.includes(row.group)) groups.push(row.group);
    run.groups = groups;
    run.subjects = [...new Set([...declared, ...run.columns.map((column) => column.subject)])];
    for (const column of run.columns) {
      const places = new Set(
        run.columns
          .filter((other) => other.subject === column.subject && !other.client === !column.client)
          .map((other) => other.place),
      );
      column.variant =
        places.size > 1
          ? [column.transport, column.conduit || "bare"].filter(Boolean).join(" ")
          : "";
    }
  }

  // ---- filter ----------------------------------------------------------------------------------

  const TERM = /^(subject|status|rule|dir|direction|group):(.*)$/i;

  // Words must all occur; values of one term are alternatives, different terms all bind.
  function parseFilter(text) {
    const filter = { words: [], terms: [], text };
    for (const token of text.match(/-?(?:\w+:)?"[^"]*"?|\S+/g) || []) {
      const not = token.length > 1 && token.startsWith("-");
      const body = not ? token.slice(1) : token;
      const term = TERM.exec(body);
      const bare = (value) => value.replace(/"/g, "").toLowerCase();
      if (!term) {
        if (bare(body)) filter.words.push({ not, word: bare(body) });
        continue;
      }
      const values = term[2].split(",").map(bare).filter(Boolean);
      if (!values.length) continue; // still being typed
      const key = term[1].toLowerCase() === "direction" ? "dir" : term[1].toLowerCase();
      const same = filter.terms.find((other) => other.key === key && other.not === not);
      if (same) same.values.push(...values);
      else filter.terms.push({ key, not, values });
    }
    return filter;
  }

  // A value is a prefix; with a star, a whole glob.
  function fits(value, text) {
    const subject = text.toLowerCase();
    if (!value.includes("*")) return subject.startsWith(value);
    let at = 0;
    const parts = value.split("*");
    for (const [i, part] of parts.entries()) {
      const found = i === 0 ? (subject.startsWith(part) ? 0 : -1) : subject.indexOf(part, at);
      if (found < 0) return false;
      at = found + part.length;
    }
    const last = parts[parts.length - 1];
    return last === "" || subject.endsWith(last);
  }

  function statusFits(value, status) {
    if (value === "red") return RED.has(status);
    if (value === "green") return status === "pass";
    return fits(value.replace(/[-_]/g, ""), status) || fits(value, STATUS.get(status).word);
  }

  const CELL_TERMS = {
    subject: (value, cell) =>
      fits(value, cell.subject) || (cell.client !== "" && fits(value, cell.client)),
    status: (value, cell) => statusFits(value, cell.status),
    dir: (value, cell) => fits(value, cell.direction),
    group: (value, cell) => fits(value, cell.group),
    rule: (value, cell) => [...cell.rules].some((rule) => fits(value, rule)),
  };

  const cellMatches = (filter, cell, except) =>
    filter.words.every(({ not, word }) => cell.hay.includes(word) !== not) &&
    filter.terms.every(
      ({ key, not, values }) =>
        key === except || values.some((value) => CELL_TERMS[key](value, cell)) !== not,
    );

  // ---- state, kept in the URL ------------------------------------------------------------------

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

  // ---- top -------------------------------------------------------------------------------------

  function showTop() {
    const header = run.header || {};
    const footer = run.footer;
    const planned = number(footer ? footer.planned : header.planned);
    const accounted = footer
      ? number(footer.accounted)
      : [...run.cells.values()].reduce((sum, c) => sum + c.runs, 0);
    const fact = (name, value, title) =>
      value !== "" && el("span", { title }, name && name + " ", el("b", null, value));
    const box = byId("run-facts");
    box.replaceChildren();
    if (run.header || run.cells.size) {
      append(box, [
        fact(
          "",
          short(header.started_at, 40)
            .replace("T", " ")
            .replace(/(\.\d+)?Z$/, " UTC"),
        ),
        footer && fact("took", duration(footer.duration_us)),
        fact(
          "",
          `${grouped(planned)} planned ${planned === accounted ? "=" : "≠"} ${grouped(accounted)} accounted`,
          "Runs",
        ),
        fact("seed", short(header.seed, 40) || "0"),
        header.jobs && fact("jobs", grouped(header.jobs)),
        fact("load", grouped(header.load), "Busy processes beside the run"),
        fact("waits", short(header.wait_tier, 60), "Best tier the start-up self-test allows"),
        fact("", short(header.host, 80)),
        fact("version", short(header.counterpart_version, 60)),
        footer && fact("exit", string(number(footer.exit_code))),
        strings(header.command).length > 0 &&
          el(
            "details",
            null,
            el("summary", null, "command"),
            el("code", null, prose(strings(header.command).join(" "), "Command")),
          ),
      ]);
    }
    showBanners(planned, accounted);
    const red = [...run.cells.values()].filter((cell) => RED.has(cell.status)).length;
    document.title = run.cells.size
      ? `${red ? `✗ ${red} red` : "✓ no red"} · Counterpart`
      : "Counterpart";
    byId("source").textContent = source ? visible(`Showing ${short(source, 120)}`) : "";
  }

  function showBanners(planned, accounted) {
    const header = run.header || {};
    const footer = run.footer;
    const box = byId("banners");
    const banner = (kind, ...content) =>
      box.append(el("p", { class: `banner ${kind}`, role: "note" }, content));
    box.replaceChildren();
    if (problem) banner("bad", problem);
    if (source) {
      banner(
        "info",
        `Showing ${short(source, 120)}, read on this machine and sent nowhere.`,
        embedded &&
          el(
            "button",
            { type: "button", onclick: () => load(embedded, "") },
            "Back to the report of this page",
          ),
      );
    }
    if (!run.header && !run.cells.size) return;
    if (!footer) {
      banner(
        "bad",
        `Incomplete run: the file has no footer. ${grouped(accounted)} of ${grouped(planned)} planned runs are in it; cells without any are shown as not run.`,
      );
    } else {
      if (footer.interrupted)
        banner("", "Interrupted: the run was stopped before its plan was done.");
      if (planned !== accounted) {
        banner(
          "bad",
          `${grouped(planned)} runs were planned but ${grouped(accounted)} are accounted for: nothing can be concluded from this report.`,
        );
      }
    }
    if (header.wait_tier_reason)
      banner(
        "",
        `Waits are judged in tier ${short(header.wait_tier, 60)}: `,
        prose(header.wait_tier_reason, "Reason"),
      );
    if (footer && number(footer.diverged))
      banner(
        "",
        `${grouped(number(footer.diverged))} of ${plural(number(footer.driven_again), "run")} driven again with the same seed made another trace. `,
        "Search run.jsonl for ",
        el("code", null, "divergence"),
        ".",
      );
    const unseen = footer ? objects(footer.unseen_moments) : [];
    if (unseen.length)
      banner(
        "",
        el(
          "details",
          null,
          el("summary", null, `${plural(unseen.length, "moment")} of chance never met`),
          el(
            "ul",
            null,
            unseen
              .slice(0, 100)
              .map((one) =>
                el(
                  "li",
                  null,
                  el("code", null, short(one.cell, 200)),
                  `: ${short(one.moment, 200)} (${plural(number(one.runs), "run")})`,
                ),
              ),
          ),
        ),
      );
    if (number(run.embedding.unreadable_lines)) {
      banner(
        "",
        `${plural(number(run.embedding.unreadable_lines), "line")} of the file could not be read and ${number(run.embedding.unreadable_lines) === 1 ? "is" : "are"} left out.`,
      );
    }
  }

  // Chips count cells that the rest of the filter lets through, and toggle status: terms.
  function showTally() {
    const box = byId("tally");
    box.replaceChildren();
    if (!run.cells.size || state.view !== "matrix") return;
    const filter = parseFilter(state.q);
    const chosen = (
      filter.terms.find((term) => term.key === "status" && !term.not) || { values: [] }
    ).values;
    const counts = new Map();
    for (const cell of run.cells.values()) {
      if (cellMatches(filter, cell, "status"))
        counts.set(cell.status, (counts.get(cell.status) || 0) + 1);
    }
    for (const [key, { glyph, word }] of STATUS) {
      const count = counts.get(key) || 0;
      const on = chosen.some((value) => statusFits(value, key));
      box.append(
        el(
          "button",
          {
            type: "button",
            class: `chip${count ? "" : " zero"}`,
            "aria-pressed": String(on),
            "data-status": key,
            onclick: () => {
              const keys = [...STATUS.keys()].filter(
                (other) => chosen.some((value) => statusFits(value, other)) !== (other === key),
              );
              const rest = state.q
                .replace(/(^|\s)status:\S*/gi, " ")
                .replace(/\s+/g, " ")
                .trim();
              go({
                q: [rest, keys.length && `status:${keys.join(",")}`].filter(Boolean).join(" "),
              });
              const again = byId("tally").querySelector(`[data-status="${key}"]`);
              if (again) again.focus();
            },
          },
          el("span", { class: `mark ${key}`, "aria-hidden": "true" }, glyph),
          ` ${grouped(count)} ${word}`,
        ),
      );
    }
  }

  // ---- matrix ----------------------------------------------------------------------------------

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
    const rows = run.rows.filter((row) =>
      [...row.cells.values()].some((cell) => matching.has(cell)),
    );

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
          plural(members.length, "scenario") +
          (cells ? `, ${plural(cells, "cell")} not green` : ""),
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

  // ---- drawer ----------------------------------------------------------------------------------

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
    const stops = [
      ...event.currentTarget.querySelectorAll('button, a[href], [tabindex="0"]'),
    ].filter((node) => !node.disabled && node.getClientRects().length);
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

  function countsSection(cell) {
    const raw = cell.raw;
    const statement =
      string(raw.statement) ||
      (cell.status === "unsupported"
        ? "Unsupported by what the subject declares"
        : cell.runs
          ? `${cell.passed}/${cell.runs} passed`
          : "No counted run");
    const parts = [
      ["pass", cell.passed],
      ["fail", cell.failed],
      ["error", cell.errors],
      ["inconclusive", cell.inconclusive],
    ];
    const bar = el("div", { class: "split", role: "presentation" });
    for (const [key, count] of parts) {
      if (!count) continue;
      const part = el("i", { class: key });
      part.style.flexGrow = count;
      bar.append(part);
    }
    return el(
      "section",
      null,
      el("p", { class: "statement" }, prose(statement, "Statement")),
      cell.status === "unsupported" && el("p", null, prose(raw.unsupported_reason, "Reason")),
      raw.expectation && el("p", null, prose(raw.expectation, "Expectation")),
      cell.runs > 0 && bar,
      facts(
        ...parts.map(([key, count]) => [STATUS.get(key).word, count ? grouped(count) : ""]),
        [
          "rate of failure",
          cell.red && raw.rate_high
            ? `${rate(raw.rate_low)} – ${rate(raw.rate_high)} % (95 %)`
            : "",
        ],
        [
          "distinct passing traces",
          number(raw.distinct_traces) ? grouped(raw.distinct_traces) : "",
        ],
        ["first failing seed", short(raw.first_failing_seed, 40).replace(/^0$/, "")],
      ),
      number(raw.max_us) > 0 &&
        facts(
          ["p50", duration(raw.p50_us)],
          ["p90", duration(raw.p90_us)],
          ["p99", duration(raw.p99_us)],
          ["max", duration(raw.max_us)],
        ),
    );
  }

  function signaturesSection(cell, exec) {
    if (!cell.signatures.length) return null;
    const rows = cell.signatures.slice(0, 50).map((one) => {
      const kept = run.execById.has(string(one.exec));
      return el(
        "tr",
        null,
        el("td", { class: "number" }, `${grouped(one.count)} ×`),
        el(
          "td",
          null,
          el("p", null, prose(one.reason || one.signature, "Reason")),
          el("p", { class: "mono quiet" }, short(one.signature, 400)),
        ),
        el(
          "td",
          null,
          kept &&
            el(
              "button",
              {
                type: "button",
                "aria-pressed": String(Boolean(exec) && exec.id === one.exec),
                onclick: () => go({ exec: string(one.exec) }),
              },
              "Show",
            ),
        ),
      );
    });
    const more = cell.signatures.length - rows.length;
    return section(
      plural(cell.signatures.length, "way to fail", "ways to fail"),
      "",
      el("table", { class: "list signatures" }, el("tbody", null, rows)),
      more > 0 && el("p", { class: "cut" }, `${grouped(more)} more are in run.jsonl.`),
    );
  }

  function runsSection(cell, exec) {
    const execs = run.execs.get(cell.id) || [];
    if (!execs.length) {
      return cell.runs
        ? section(
            "Runs",
            "",
            el("p", { class: "quiet" }, "None is in this page. Open the run.jsonl to see them."),
          )
        : null;
    }
    const box = el("div", { class: "runs" });
    const add = (from, to) => {
      for (const one of execs.slice(from, to)) {
        const mark = markOf(endingOf(one) === "unsupported" ? "unsupported" : verdictOf(one));
        box.append(
          el(
            "button",
            {
              type: "button",
              class: mark,
              "data-exec": string(one.id),
              "aria-pressed": String(one === exec),
              "aria-label": `Run ${one.ordinal}, ${STATUS.get(mark).word}`,
              title: duration(one.duration_us),
              onclick: () => go({ exec: string(one.id) }),
            },
            `${STATUS.get(mark).glyph} ${one.ordinal}`,
          ),
        );
      }
      if (execs.length <= to) return;
      const more = el(
        "button",
        {
          type: "button",
          onclick: () => {
            more.remove();
            add(to, to + 1000);
          },
        },
        `${grouped(execs.length - to)} more`,
      );
      box.append(more);
    };
    add(0, Math.max(RUNS, execs.indexOf(exec) + 1));
    const missing = cell.runs - execs.length;
    return section(
      "Runs",
      missing > 0
        ? `${grouped(execs.length)} of ${grouped(cell.runs)} are in this page; run.jsonl has all`
        : "",
      box,
    );
  }

  function ruleText(id) {
    const rule = run.rules.get(string(id));
    return el(
      "blockquote",
      { class: "rule" },
      el("p", { class: "mono" }, short(id)),
      el(
        "p",
        null,
        rule
          ? prose(rule.text, "Rule")
          : el("span", { class: "quiet" }, "The text of this rule is not in the run."),
      ),
      rule && rule.source && el("p", { class: "quiet" }, short(rule.source)),
    );
  }

  function verdictSection(exec) {
    const verdict = verdictOf(exec);
    const ending = endingOf(exec);
    const mark = markOf(ending === "unsupported" ? "unsupported" : verdict);
    const how =
      ending === "normal"
        ? ""
        : ending + (exec.exit_status ? `, ${short(exec.exit_status, 80)}` : "");
    return el(
      "section",
      { class: "exec" },
      el(
        "p",
        { class: "verdict" },
        el("span", { class: `mark ${mark}` }, `${STATUS.get(mark).glyph} run ${exec.ordinal}`),
        " ",
        exec.reason
          ? prose(exec.reason, "Reason")
          : verdict === "pass"
            ? "Passed."
            : `Verdict: ${verdict}.`,
      ),
      exec.rule && ruleText(exec.rule),
      facts(
        ["ended by", how],
        ["evidence", exec.evidence ? prose(exec.evidence, "Evidence") : ""],
        ["wait tier", short(exec.wait_tier, 80)],
        ["could not be judged", short(exec.unjudged, 40)],
      ),
      objects(exec.fixpoints).slice(0, 4).map(fixpointDetails),
    );
  }

  // Rows of cells, each a text, a node or a list of these. Nothing at all where there is no row.
  function listTable(heads, rows) {
    const line = (tag, attributes, cells) =>
      el(
        "tr",
        null,
        cells.map((cell) => el(tag, attributes, cell)),
      );
    if (!rows.length) return null;
    return el(
      "table",
      { class: "list" },
      el("thead", null, line("th", { scope: "col" }, heads)),
      el(
        "tbody",
        null,
        rows.map((row) => line("td", null, row)),
      ),
    );
  }

  // What was seen of a subject when nothing could come of it any more, or when it was given up.
  function fixpointDetails(fixpoint) {
    const threads = objects(fixpoint.threads);
    const bytes = (count) => grouped(number(count));
    return el(
      "details",
      { class: "fixpoint" },
      el(
        "summary",
        null,
        `${fixpoint.given_up ? "Given up" : "At rest"}: ${short(fixpoint.subject, 80)}, ${plural(threads.length, "thread")}`,
      ),
      listTable(
        ["Thread", "Name", "State", "Blocked in", "Until"],
        threads
          .slice(0, 200)
          .map((thread) => [
            `${number(thread.process)}/${number(thread.thread)}`,
            short(thread.name, 40) + (thread.housekeeping ? " (housekeeping)" : ""),
            short(thread.state, 4),
            short(thread.blocked_in, 80),
            short(thread.until, 80),
          ]),
      ),
      listTable(
        ["Timer", "Due in"],
        objects(fixpoint.timers)
          .slice(0, 200)
          .map((timer) => [
            short(timer.what, 200),
            `${grouped(Math.round(number(timer.due_us) / 1000))} ms`,
          ]),
      ),
      listTable(
        ["Bytes sent", "read", "Bytes written", "received", "not taken"],
        objects(fixpoint.links)
          .slice(0, 200)
          .map((link) =>
            [link.sent, link.read, link.written, link.received, link.unread].map(bytes),
          ),
      ),
      fixpoint.settle && el("p", null, "Its own word: ", prose(fixpoint.settle, "Settle")),
    );
  }

  // Copies the whole text; where the clipboard is not to be had, selects it.
  async function copy(text, button, code) {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
      byId("announce").textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
  }

  function commandsSection(exec) {
    const command = (name, text) => {
      if (!text) return null;
      const code = el("code", null, prose(text, name));
      const button = el(
        "button",
        {
          type: "button",
          "aria-label": `Copy the ${name.toLowerCase()} command`,
          onclick: () => copy(string(text), button, code),
        },
        "Copy",
      );
      return el("div", { class: "command" }, el("span", null, name), code, button);
    };
    if (!exec.replay && !exec.redrive) return null;
    return section(
      "Run it again",
      "",
      command("Replay", exec.replay),
      command("Re-drive", exec.redrive),
    );
  }

  function findingsSection(exec) {
    const findings = objects(exec.findings);
    if (!findings.length) return null;
    const entries = new Set(objects(exec.timeline).map((entry) => number(entry.index)));
    return section(
      "Findings",
      String(findings.length),
      el(
        "ul",
        { class: "findings" },
        findings.slice(0, 100).map((finding) => {
          const level = markOf(named(finding.level, "VERDICT_", VERDICTS));
          const at = number(finding.entry);
          return el(
            "li",
            null,
            el("span", { class: `mark ${level}` }, STATUS.get(level).glyph),
            el("code", null, short(finding.rule)),
            " ",
            prose(finding.text, "Finding"),
            " ",
            finding.blame &&
              el("span", { class: "quiet" }, `The ${short(finding.blame, 40)} is to blame. `),
            entries.has(at) &&
              el(
                "button",
                { type: "button", class: "plain", onclick: () => showEntry(at) },
                `Entry ${at}`,
              ),
          );
        }),
      ),
      findings.length > 100 &&
        el("p", { class: "cut" }, `${grouped(findings.length - 100)} more are in run.jsonl.`),
    );
  }

  function faultsSection(exec) {
    const faults = objects(exec.faults);
    if (!faults.length) return null;
    return section(
      "Faults",
      "",
      listTable(
        ["#", "At", "How", "Fired"],
        faults
          .slice(0, 100)
          .map((fault) => [
            string(number(fault.ordinal)),
            prose(fault.at, "At"),
            el("code", null, short(fault.how)),
            fault.fired
              ? [el("span", { class: "mark pass" }, "✓"), " ", prose(fault.where, "Proof")]
              : [el("span", { class: "mark inconclusive" }, "?"), " never fired"],
          ]),
      ),
    );
  }

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
    const blamed = new Map(
      objects(exec.findings).map((finding) => [number(finding.entry), finding]),
    );
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

  // Only a plain relative path becomes a link, each part encoded; a dropped file has no neighbours.
  function traceLink(exec) {
    const path = string(exec.trace);
    if (!path) return null;
    const parts = path.split("/");
    const plain =
      !source &&
      path.length < 1000 &&
      parts.every(
        (part) => part && part !== "." && part !== ".." && !/[\\\u0000-\u001f]/.test(part),
      );
    if (!plain) return el("code", null, short(path, 400));
    const href =
      "./" +
      parts
        .map((part) => encodeURIComponent(part.toWellFormed ? part.toWellFormed() : part))
        .join("/");
    const link = el("a", { href }, short(path, 400));
    return link;
  }

  const stderrSection = (exec) =>
    exec.subject_stderr &&
    section(
      "Standard error of the subject",
      "its tail",
      blob(exec.subject_stderr, "Standard error of the subject", "run.jsonl"),
    );

  const aboutSection = (exec) =>
    section(
      "This run",
      "",
      facts(
        ["id", el("span", { class: "mono" }, short(exec.id, 400))],
        ["seed", short(exec.seed, 40) || "0"],
        ["took", duration(exec.duration_us)],
        ["started after", duration(exec.started_us)],
        ["subject process", `slot ${number(exec.slot)}, incarnation ${number(exec.incarnation)}`],
        ["signature", short(exec.signature, 400)],
        ["trace hash", short(exec.trace_hash, 80)],
      ),
    );

  function rulesJudgedSection(cell, exec) {
    const rules = strings(cell.raw.rules_judged).length
      ? strings(cell.raw.rules_judged)
      : exec
        ? strings(exec.rules_judged)
        : [];
    if (!rules.length) return null;
    return section(
      "Rules judged",
      String(rules.length),
      el(
        "p",
        null,
        rules.slice(0, 200).map((rule) => [
          el(
            "button",
            {
              type: "button",
              class: "plain mono",
              title: short((run.rules.get(rule) || {}).text, 400),
              onclick: () => go({ view: "rules", q: `rule:${rule}`, cell: "", exec: "" }),
            },
            short(rule),
          ),
          "   ",
        ]),
      ),
    );
  }

  // ---- rules -----------------------------------------------------------------------------------

  // rule -> subject -> {judged, violated}; from the footer, else counted from the execs.
  function coverage() {
    const table = new Map();
    const at = (rule, subject) => {
      if (!table.has(rule)) table.set(rule, new Map());
      if (!table.get(rule).has(subject)) table.get(rule).set(subject, { judged: 0, violated: 0 });
      return table.get(rule).get(subject);
    };
    if (run.footer) {
      for (const one of objects(run.footer.rules)) {
        const sum = at(string(one.rule), string(one.subject));
        sum.judged += number(one.judged);
        sum.violated += number(one.violated);
      }
      return table;
    }
    for (const exec of run.execById.values()) {
      const cell = run.cells.get(string(exec.cell));
      if (!cell) continue;
      const broken = verdictOf(exec) === "fail" ? string(exec.rule) : "";
      const blamed = objects(exec.findings).find((finding) => string(finding.rule) === broken);
      const parts = cell.client
        ? objects(exec.judged_of).map((one) => [string(one.subject), strings(one.rules)])
        : [[cell.subject, strings(exec.rules_judged)]];
      for (const [subject, rules] of parts) {
        const judged = new Set(rules);
        const breaks = broken && (!cell.client || string((blamed || {}).blame) === subject);
        if (breaks) judged.add(broken);
        for (const rule of judged) {
          at(rule, subject).judged += 1;
          if (breaks && rule === broken) at(rule, subject).violated += 1;
        }
      }
    }
    return table;
  }

  const RULE_STATUS = {
    untested: (one) => !one || !one.judged,
    violated: (one) => one && one.violated > 0,
    held: (one) => one && one.judged > 0 && !one.violated,
  };
  RULE_STATUS.tested = (one) => !RULE_STATUS.untested(one);
  RULE_STATUS.fail = RULE_STATUS.red = RULE_STATUS.violated;
  RULE_STATUS.pass = RULE_STATUS.held;

  function showRules() {
    const main = byId("main");
    grid = [];
    places = new Map();
    main.replaceChildren();
    const covered = coverage();
    const ids = [...new Set([...run.rules.keys(), ...covered.keys()])];
    const filter = parseFilter(state.q);
    const terms = (key) => filter.terms.filter((term) => term.key === key);
    const passes = (found, test) => found.every(({ not, values }) => values.some(test) !== not);
    const subjects = run.subjects.filter((subject) =>
      passes(terms("subject"), (value) => fits(value, subject)),
    );
    const one = (rule, subject) => (covered.get(rule) || new Map()).get(subject);
    const shown = ids.filter((id) => {
      const hay = `${id}\n${string((run.rules.get(id) || {}).text)}`.toLowerCase();
      return (
        filter.words.every(({ not, word }) => hay.includes(word) !== not) &&
        passes(terms("rule"), (value) => fits(value, id)) &&
        passes(terms("status"), (value) => {
          const key = Object.keys(RULE_STATUS).find((name) => name.startsWith(value));
          return !key || subjects.some((subject) => RULE_STATUS[key](one(id, subject)));
        })
      );
    });
    byId("count").textContent = `${grouped(shown.length)} of ${plural(ids.length, "rule")}`;
    if (!shown.length || !subjects.length) {
      main.append(
        el(
          "div",
          { class: "empty" },
          el("h2", null, ids.length ? "No rule matches" : "No rules in this run"),
        ),
      );
      return;
    }
    const tested = (rules, subject) =>
      rules.filter((rule) => !RULE_STATUS.untested(one(rule, subject))).length;
    const table = el("table", { class: "grid rules", "aria-label": "Rules by subject" });
    table.style.setProperty("--columns", subjects.length);
    table.append(
      el(
        "colgroup",
        null,
        el("col"),
        subjects.map(() => el("col", { class: "data" })),
      ),
      el(
        "thead",
        null,
        el(
          "tr",
          null,
          el("th", { class: "corner name", rowspan: 2, scope: "col" }, "Rule"),
          subjects.map((subject) =>
            el("th", { scope: "col", class: "edge", title: subject }, short(subject, 60)),
          ),
        ),
        el(
          "tr",
          null,
          subjects.map((subject) => {
            const n = tested(shown, subject);
            return el(
              "th",
              { scope: "col", class: "edge", title: `Rules tested, ${subject}` },
              `${n}/${shown.length} ${percent(n, shown.length)}`,
            );
          }),
        ),
      ),
    );
    const sources = new Map();
    for (const id of shown) {
      const place = string((run.rules.get(id) || {}).source) || "no source";
      if (!sources.has(place)) sources.set(place, []);
      sources.get(place).push(id);
    }
    for (const [place, members] of sources) {
      const any = members.filter((id) =>
        subjects.some((subject) => !RULE_STATUS.untested(one(id, subject))),
      ).length;
      const key = "rules " + place;
      const open = !folded.has(key);
      const body = el(
        "tbody",
        null,
        el(
          "tr",
          { class: "section" },
          el(
            "th",
            { colspan: subjects.length + 1, scope: "rowgroup" },
            el(
              "button",
              {
                type: "button",
                "aria-expanded": String(open),
                onclick: (event) => {
                  const rows = event.currentTarget.closest("tbody").querySelectorAll("tr.row");
                  const closed = !folded.delete(key) && folded.add(key);
                  event.currentTarget.setAttribute("aria-expanded", String(!closed));
                  for (const row of rows) row.hidden = Boolean(closed);
                },
              },
              short(place),
              " ",
              el(
                "span",
                { class: "quiet" },
                `${any}/${members.length} tested by some subject, ${percent(any, members.length)}`,
              ),
            ),
          ),
        ),
      );
      for (const id of members) {
        const row = ruleRow(id, subjects, one);
        row.hidden = !open;
        body.append(row);
      }
      table.append(body);
    }
    main.append(table);
  }

  function ruleRow(id, subjects, one) {
    const text = string((run.rules.get(id) || {}).text);
    const name = el("th", { class: "name", scope: "row" });
    const button = el(
      "button",
      {
        type: "button",
        class: "plain mono",
        "aria-expanded": "false",
        onclick: () => {
          const open = button.getAttribute("aria-expanded") === "true";
          button.setAttribute("aria-expanded", String(!open));
          line.hidden = !open;
          if (open) name.querySelector(".rule-text").remove();
          else
            name.append(
              el(
                "div",
                { class: "rule-text" },
                el(
                  "p",
                  null,
                  text ? prose(text, "Rule") : "The text of this rule is not in the run.",
                ),
                el(
                  "button",
                  {
                    type: "button",
                    class: "plain",
                    onclick: () => go({ view: "matrix", q: `rule:${id}` }),
                  },
                  "Show its cells",
                ),
              ),
            );
        },
      },
      short(id),
    );
    const line = el("span", { class: "quiet" }, short(text, 300));
    append(name, [button, " ", line]);
    return el(
      "tr",
      { class: "row" },
      name,
      subjects.map((subject) => {
        const sum = one(id, subject);
        if (RULE_STATUS.untested(sum))
          return el("td", { class: "edge untested", "aria-label": "untested" }, "·");
        const { judged, violated } = sum;
        return el(
          "td",
          {
            class: `edge ${violated ? "broken" : "held"}`,
            "aria-label": violated
              ? `violated in ${violated} of ${judged} runs`
              : `held in ${judged} runs`,
            title: violated
              ? `violated in ${violated} of ${judged} runs`
              : `judged in ${judged} runs, held in all`,
          },
          violated ? `✗ ${grouped(violated)}/${grouped(judged)}` : `✓ ${grouped(judged)}`,
        );
      }),
    );
  }

  // ---- files -----------------------------------------------------------------------------------

  // lines: Line objects, or null where there are none. name: of a dropped file, else ''.
  function load(lines, name, trouble = "") {
    run = readRun(lines || []);
    source = name;
    problem = trouble;
    if (name && state.cell && !run.cells.has(state.cell))
      Object.assign(state, { cell: "", exec: "" });
    showTop();
    show(null);
    if (name) byId("announce").textContent = visible(`Showing ${short(name, 120)}`);
  }

  // Reads as the file streams in; a line that is not JSON is counted, not fatal.
  async function openFile(file) {
    const lines = [];
    let unreadable = 0;
    let rest = "";
    const take = (text) => {
      if (!text.trim()) return;
      try {
        lines.push(JSON.parse(text));
      } catch {
        unreadable += 1;
      }
    };
    try {
      const decoder = new TextDecoder("utf-8");
      const reader = file.stream().getReader();
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        const pieces = (rest + decoder.decode(part.value, { stream: true })).split("\n");
        rest = pieces.pop();
        pieces.forEach(take);
      }
      take(rest + decoder.decode());
    } catch (error) {
      problem = `${short(file.name, 120)} could not be read: ${short(error && error.message, 200)}`;
      showTop();
      return;
    }
    if (!objects(lines).some((line) => line.header || line.cell || line.exec)) {
      problem = `${short(file.name, 120)} is not a run.jsonl.`;
      showTop();
      return;
    }
    lines.push({ embedding: { unreadable_lines: unreadable } });
    load(lines, file.name);
  }

  function readEmbedded() {
    const text = byId("run-data").textContent;
    if (!text.trim() || text.trim().startsWith("{{")) return null;
    return JSON.parse(text);
  }

  // ---- events ----------------------------------------------------------------------------------

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
})();
