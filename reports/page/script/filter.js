// The filter: what its text means, and which cells it lets through.

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
