// Draws graphs: a JSON object of DOT texts by name on standard input, the same of SVG on standard
// output. Graphviz compiled to WebAssembly does the layout; nothing has to be installed for it.
import { instance } from "@viz-js/viz";
import { readFileSync } from "node:fs";

const viz = await instance();
const graphs = JSON.parse(readFileSync(0, "utf8"));
const drawn = Object.entries(graphs).map(([name, dot]) => {
  const svg = viz.renderString(dot, { format: "svg" });
  return [name, svg.slice(svg.indexOf("<svg"))];
});
process.stdout.write(JSON.stringify(Object.fromEntries(drawn)));
