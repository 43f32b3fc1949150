"""The spec as one page: rules, state machines with diagrams, and what proves each rule.

    python spec/site/render.py --program build/harness/counterpart -o build/spec/index.html
    python spec/site/render.py … --run reports/out/latest/run.jsonl

What is written by hand stays in spec/rules/*.md and spec/machines/*.yaml; everything else on the
page is derived: level and anchor of a rule, the scenarios that judge it (told by the program), the
mutants that break it (subjects/mutants/catalog.yaml), and, of a run, whether a subject was tested.
The page needs no network and no script.
"""

from __future__ import annotations

import argparse
import collections
import html
import json
import re
import subprocess
from pathlib import Path

import yaml
from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "spec/rules"
HERE = Path(__file__).resolve().parent
RULE = re.compile(r"^r\[([a-z0-9.-]+)(?:\+\d+)?\]\n(.+?)(?=\n\n|\n?\Z)", re.M | re.S)
INDEXED = re.compile(r"^\| `([a-z0-9.-]+)` +\| ([WCJ ]+?) *\|$", re.M)
FAMILY = re.compile(r"^### \[(.+)\]\((\w+\.md)\)$", re.M)
ASIDE = re.compile(r"^_(Rationale|Excluded):_ ?", re.M)
LEVELS = ("MUST", "SHOULD", "MAY")
GLYPHS = {"tested": "✓", "violated": "✗", "untested": "·", "excluded": "–"}


def escaped(text: str) -> str:
    """As it stands, in HTML."""
    return html.escape(text, quote=True)


def rules() -> dict[str, str]:
    """The paragraph of every rule."""
    found = {}
    for path in RULES.glob("*.md"):
        found.update(RULE.findall(path.read_text(encoding="utf-8")))
    return found


def level(paragraph: str) -> str:
    """The strongest word of RFC 2119 in it."""
    return next(word for word in LEVELS if re.search(rf"\b{word}\b", paragraph))


def markdown(known: dict[str, str]) -> MarkdownIt:
    """Renders Markdown; the id of a rule in running text or in code leads to the rule."""
    renderer = MarkdownIt("commonmark", {"html": False}).enable("table")
    ids = re.compile(r"(?<![\w.-])([a-z]+(?:\.[a-z-]+)+)(?![\w-]|\.[a-z])")

    def link(text: str) -> str:
        shown = escaped(text)
        return ids.sub(lambda m: f'<a href="#{m[1]}">{m[1]}</a>' if m[1] in known else m[1], shown)

    def text(tokens, index, _options, _env) -> str:
        return link(tokens[index].content)

    def code(tokens, index, _options, _env) -> str:
        return f"<code>{link(tokens[index].content)}</code>"

    renderer.renderer.rules["text"] = text
    renderer.renderer.rules["code_inline"] = code
    return renderer


class Proof:
    """What judges each rule: scenarios, mutants, and the subjects of a run."""

    def __init__(self, program: Path, run: Path | None) -> None:
        self.scenarios: dict[str, set[str]] = collections.defaultdict(set)
        for cell in json.loads(self._ask(program, "list", "--format", "json")):
            for rule in cell["rules"]:
                self.scenarios[rule].add(cell["id"].rsplit("::", 1)[1])
        catalogue = yaml.safe_load((ROOT / "subjects/mutants/catalog.yaml").read_text())
        self.mutants: dict[str, set[str]] = collections.defaultdict(set)
        for mutant in catalogue["mutants"]:
            for rule in mutant.get("rules") or ():
                self.mutants[rule].add(mutant["id"])
        self.status: dict[str, dict[str, str]] = {}
        if run is not None:
            told = json.loads(self._ask(program, "rules", "--format", "json", "--run", str(run)))
            for rule in told["rules"]:
                subjects = rule["subjects"].items()
                self.status[rule["id"]] = {name: seen["status"] for name, seen in subjects}

    @staticmethod
    def _ask(program: Path, *words: str) -> str:
        command = [str(program), *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout


def rule_box(rule: str, paragraph: str, marks: str, proof: Proof, text: MarkdownIt) -> str:
    """One rule: id, level, how it is observed, its paragraph, what proves it."""
    chips = "".join(
        f'<span class="chip {status}" title="{escaped(name)}: {status}">'
        f"{GLYPHS[status]} {escaped(name)}</span> "
        for name, status in proof.status.get(rule, {}).items()
    )
    proofs = [
        f"{label}: " + ", ".join(f"<code>{escaped(name)}</code>" for name in sorted(names))
        for label, names in (
            ("scenarios", proof.scenarios.get(rule)),
            ("mutants", proof.mutants.get(rule)),
        )
        if names
    ]
    return (
        f'<article class="rule" id="{rule}"><header>'
        f'<a class="id" href="#{rule}">{rule}</a>'
        f'<span class="mark">{level(paragraph)} · {escaped(marks)}</span>{chips}</header>'
        f"{text.render(paragraph)}"
        + "".join(f'<p class="proof">{line}</p>' for line in proofs)
        + "</article>"
    )


def family(path: Path, marks: dict[str, str], proof: Proof, text: MarkdownIt) -> str:
    """A file of rules: its own text, with every rule in a box."""
    parts, at = [], 0
    source = path.read_text(encoding="utf-8")
    for found in RULE.finditer(source):
        parts.append(prose(source[at : found.start()], text))
        parts.append(rule_box(found[1], found[2], marks[found[1]], proof, text))
        at = found.end()
    parts.append(prose(source[at:], text))
    return "".join(parts)


def prose(source: str, text: MarkdownIt) -> str:
    """Text between rules; headings one level down, what is said beside a rule set apart."""
    source = re.sub(r"^#", "##", source, flags=re.M)
    return "".join(
        f'<div class="aside">{text.render(block)}</div>'
        if ASIDE.match(block)
        else text.render(block)
        for block in re.split(r"\n{2,}", source.strip())
        if block
    )


def machines() -> list[dict]:
    """Every table of spec/machines."""
    paths = sorted((ROOT / "spec/machines").glob("*.yaml"))
    return [yaml.safe_load(path.read_text(encoding="utf-8")) for path in paths]


def dot(machine: dict) -> str:
    """The machine as a graph; events that lead from one state to the same other share an arrow."""
    arrows: dict[tuple[str, str], list[str]] = collections.defaultdict(list)
    for step in machine["transitions"]:
        arrows[step["from"], step["to"]].append(step["event"])
    states = list(dict.fromkeys(state for arrow in arrows for state in arrow))
    lines = ['rankdir=LR bgcolor=none node [shape=ellipse fontname="sans-serif" fontsize=12]']
    lines.append('edge [fontname="sans-serif" fontsize=11]')
    lines.append(f'start [shape=point width=0.1]; start -> "{machine["initial"]}"')
    for state in states:
        final = state in machine.get("final", ())
        lines.append(f'"{state}" [peripheries={2 if final else 1}]')
    for (here, there), events in arrows.items():
        label = "\\n".join(events)
        lines.append(f'"{here}" -> "{there}" [label="{label}"]')
    return "digraph {" + "\n".join(lines) + "}"


def draw(graphs: dict[str, str]) -> dict[str, str]:
    """SVG by name."""
    command = ["node", str(HERE / "diagrams.mjs")]
    ended = subprocess.run(
        command, cwd=ROOT, input=json.dumps(graphs), capture_output=True, check=True, text=True
    )
    return json.loads(ended.stdout)


def machine_section(machine: dict, svg: str, text: MarkdownIt) -> str:
    """Diagram and table."""
    rows = "".join(
        "<tr>"
        + "".join(
            f"<td>{escaped(str(step.get(key, '')))}</td>" for key in ("from", "event", "to", "note")
        )
        + "</tr>"
        for step in machine["transitions"]
    )
    name = machine["machine"]
    # Graphviz names its groups alike in every drawing.
    svg = re.sub(r' id="(?:graph|node|edge|a_node|a_edge)\d+"', "", svg)
    return (
        f'<h3 id="machine-{name}">{escaped(name)}</h3>{text.render(machine["rule"])}'
        f'<div class="wide" role="img" aria-label="state diagram of {escaped(name)}">{svg}</div>'
        "<table><tr><th>from</th><th>event</th><th>to</th><th>note</th></tr>"
        f"{rows}</table>"
    )


def render(program: Path, run: Path | None) -> str:
    """The whole page."""
    known = rules()
    text = markdown(known)
    index = (RULES / "README.md").read_text(encoding="utf-8")
    marks = dict(INDEXED.findall(index))
    proof = Proof(program, run)
    introduction = index[: index.index("## Index")]
    families = FAMILY.findall(index)
    tables = machines()
    drawings = draw({machine["machine"]: dot(machine) for machine in tables})
    links = [f'<li><a href="#{name[:-3]}">{escaped(title)}</a></li>' for title, name in families]
    machine_links = [
        f'<li><a href="#machine-{m["machine"]}">{escaped(m["machine"])}</a></li>' for m in tables
    ]
    body = "".join(
        f'<section id="{name[:-3]}">{family(RULES / name, marks, proof, text)}</section>'
        for _, name in families
    )
    drawn = "".join(machine_section(m, drawings[m["machine"]], text) for m in tables)
    introduction = re.sub(r"\[([^]]*)\]\((?!http)[^)]*\)", r"\1", introduction)  # to other files
    css = (HERE / "page.css").read_text(encoding="utf-8")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>Counterpart: the protocol</title><style>{css}</style></head><body>"
        f"<nav><strong>Rules</strong><ul>{''.join(links)}</ul>"
        f"<strong>State machines</strong><ul>{''.join(machine_links)}</ul></nav>"
        f"<main><h1>The protocol</h1>{prose(introduction, text)}{body}"
        f'<section id="machines"><h2>State machines</h2>{drawn}</section></main></body></html>\n'
    )


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--program", type=Path, default=ROOT / "build/harness/counterpart")
    parser.add_argument("--run", type=Path, help="a run.jsonl: what it tested of which subject")
    parser.add_argument("-o", "--out", type=Path, default=ROOT / "build/spec/index.html")
    options = parser.parse_args()
    page = render(options.program, options.run)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(page, encoding="utf-8")
    print(options.out)


if __name__ == "__main__":
    main()
