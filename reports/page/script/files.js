// Runs from files: the one that this page holds, and those that are dropped on it.

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
