// The model of a run: from its lines, what every view is derived from.

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
      places.size > 1 ? [column.transport, column.conduit || "bare"].filter(Boolean).join(" ") : "";
  }
}
