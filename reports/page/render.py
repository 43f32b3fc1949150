"""Inline a run.jsonl into the page: one self-contained HTML file.

The program `counterpart report` does the same from the same files; this is the reference for it and
the tool to develop the page with. The contract (tokens, escaping, which runs are kept) is in
reports/README.md. Standard library only.

    python3 reports/page/render.py run.jsonl -o report.html
    python3 reports/page/render.py --update-digests     # after a change of style or script
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parent

PASSED_KEPT = 3  # passed runs of a cell that are kept
PER_SIGNATURE_KEPT = 5  # other runs of a cell that are kept, per signature

TOKENS = re.compile(r"/\*\{\{(?P<file>[a-z_/]+\.[a-z]+)\}\}\*/|\{\{data\}\}")
ESCAPES = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
}


def escape(json_text: str) -> str:
    """Escape what HTML or JavaScript could act on; in JSON these occur within strings only."""
    return re.sub("[<>&\u2028\u2029]", lambda found: ESCAPES[found[0]], json_text)


def field(line: dict[str, Any], kind: str, name: str) -> str:
    """Return a string field of a line of that kind, else ""."""
    message = line.get(kind)
    value = message.get(name) if isinstance(message, dict) else None
    return value if isinstance(value, str) else ""


def embed(run: bytes) -> str:
    """Turn the bytes of a run.jsonl into the JSON array that goes into the page.

    Invalid UTF-8 becomes U+FFFD. Lines that are no JSON object are counted and left out (the last
    line of an interrupted run may be cut). Of a cell that has its cell line, only the first runs
    are kept, so that a thousand repetitions do not make a page of a gigabyte; without that line the
    page counts the runs itself and needs all of them.
    """
    lines: list[tuple[str, dict[str, Any]]] = []
    unreadable = 0
    for text in run.decode("utf-8", errors="replace").split("\n"):
        if not text.strip():
            continue
        try:
            line = json.loads(text)
        except ValueError:
            line = None
        if isinstance(line, dict):
            lines.append((text.strip(), line))
        else:
            unreadable += 1

    counted = {field(line, "cell", "id") for _, line in lines if "cell" in line}
    kept: list[str] = []
    seen: Counter[tuple[str, str]] = Counter()
    left_out = 0
    for text, line in lines:
        cell = field(line, "exec", "cell")
        if cell and cell in counted:
            passed = field(line, "exec", "verdict") == "VERDICT_PASS"
            way = (cell, "passed" if passed else "signature " + field(line, "exec", "signature"))
            seen[way] += 1
            if seen[way] > (PASSED_KEPT if passed else PER_SIGNATURE_KEPT):
                left_out += 1
                continue
        kept.append(text)
    note = {"unreadable_lines": unreadable, "left_out_execs": left_out}
    kept.append(json.dumps({"embedding": note}))
    return "[" + escape(",\n".join(kept)) + "]"


def fill(template: str, data: str, page: Path = PAGE) -> str:
    """Put the files and the data into the template. It is cut at its tokens once: no text that
    replaces a token is searched for tokens again."""

    def part(token: re.Match[str]) -> str:
        name = token["file"]
        return (page / name).read_text(encoding="utf-8") if name else data

    return TOKENS.sub(part, template)


def render(run: bytes, page: Path = PAGE) -> str:
    """Return the HTML of one run."""
    return fill((page / "page.html").read_text(encoding="utf-8"), embed(run), page)


def digest(html: str, element: str) -> str:
    """Digest of the one such element's text as a Content-Security-Policy source."""
    (text,) = re.findall(f"<{element}>(.*?)</{element}>", html, re.DOTALL)
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def with_digests(template: str, page: Path = PAGE) -> str:
    """Return the template with the digests of its script and style as they are now."""
    html = fill(template, "", page)
    for element in "script", "style":
        named = f"{element}-src '{digest(html, element)}'"
        template = re.sub(f"{element}-src '[^']*'", named, template)
    return template


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("run", nargs="?", type=Path, help="a run.jsonl")
    parser.add_argument("-o", "--output", type=Path, help="HTML file to write; else stdout")
    parser.add_argument("--update-digests", action="store_true", help="renew those in page.html")
    arguments = parser.parse_args()
    if arguments.update_digests:
        template = PAGE / "page.html"
        template.write_text(with_digests(template.read_text(encoding="utf-8")), encoding="utf-8")
    if arguments.run is None:
        if not arguments.update_digests:
            parser.error("a run.jsonl is needed")
        return 0
    html = render(arguments.run.read_bytes())
    if arguments.output:
        arguments.output.write_text(html, encoding="utf-8")
    else:
        sys.stdout.write(html)
    return 0


if __name__ == "__main__":
    sys.exit(main())
