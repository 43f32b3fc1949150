// What the drawer says of one run.

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
        .map((link) => [link.sent, link.read, link.written, link.received, link.unread].map(bytes)),
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

// Only a plain relative path becomes a link, each part encoded; a dropped file has no neighbours.
function traceLink(exec) {
  const path = string(exec.trace);
  if (!path) return null;
  const parts = path.split("/");
  const plain =
    !source &&
    path.length < 1000 &&
    parts.every((part) => part && part !== "." && part !== ".." && !/[\\\u0000-\u001f]/.test(part));
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
