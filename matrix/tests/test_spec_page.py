"""The spec as one page: everything that is in spec/ is on it, and all its links lead somewhere."""

from __future__ import annotations

import html.parser
import os
import pathlib
import re
import subprocess
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("COUNTERPART_PROGRAM", str(ROOT / "build/harness/counterpart"))
DEFINED = re.compile(r"^r\[([a-z0-9.-]+)\]$", re.M)


class Page(html.parser.HTMLParser):
    """Ids, where links lead, what is loaded, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.targets: set[str] = set()
        self.loaded: set[str] = set()
        self.words = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """One element."""
        values = dict(attributes)
        if "id" in values:
            self.ids.append(values["id"])
        if tag == "a" and "href" in values:
            self.targets.add(values["href"])
        elif values.get("src") or (tag == "link" and values["href"] != "data:,") or tag == "script":
            self.loaded.add(tag)

    def handle_data(self, data: str) -> None:
        """Text."""
        self.words += data


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """As scripts/spec writes it."""
    out = tmp_path_factory.mktemp("spec") / "index.html"
    command = [sys.executable, str(ROOT / "spec/site/render.py"), "--program", PROGRAM]
    subprocess.run([*command, "--out", str(out)], check=True, capture_output=True)
    read = Page()
    read.feed(out.read_text(encoding="utf-8"))
    return read


def test_every_rule_is_there_once(page: Page) -> None:
    """Under its own id."""
    defined = [
        rule
        for path in (ROOT / "spec/rules").glob("*.md")
        for rule in DEFINED.findall(path.read_text(encoding="utf-8"))
    ]
    assert len(defined) > 150
    assert {rule: page.ids.count(rule) for rule in defined} == dict.fromkeys(defined, 1)


def test_every_machine_is_drawn_and_listed(page: Page) -> None:
    """Each state stands in the drawing as well as in the table."""
    for path in (ROOT / "spec/machines").glob("*.yaml"):
        machine = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert f"machine-{machine['machine']}" in page.ids
        for step in machine["transitions"]:
            assert page.words.count(step["from"]) >= 2
            assert page.words.count(step["event"]) >= 2


def test_links_lead_somewhere_and_nothing_is_loaded(page: Page) -> None:
    """The page is complete in itself."""
    inside = {target[1:] for target in page.targets if target.startswith("#")}
    assert inside <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert all(target.startswith(("#", "https://")) for target in page.targets)
    assert page.loaded == set()


def test_scenarios_and_mutants_stand_with_their_rule(page: Page) -> None:
    """One of each, by name."""
    assert "channel_item_after_close_is_refused" in page.words
    assert "accepts_item_after_close" in page.words
