// Values of a line as text: whatever they are, bounded, and shown rather than obeyed.

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
    .replace(/[\u0000-\u0008\u000b-\u001f]/g, (c) => String.fromCharCode(0x2400 + c.charCodeAt(0)))
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
