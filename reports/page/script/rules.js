// The view of the rules: which are tested, held, violated, and where.

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
