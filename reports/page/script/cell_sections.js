// What the drawer says of a cell: its counts, its signatures, its runs.

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
        cell.red && raw.rate_high ? `${rate(raw.rate_low)} – ${rate(raw.rate_high)} % (95 %)` : "",
      ],
      ["distinct passing traces", number(raw.distinct_traces) ? grouped(raw.distinct_traces) : ""],
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
