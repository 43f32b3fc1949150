// The words of a run (verdicts, endings, statuses, directions) and how each is shown.

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
