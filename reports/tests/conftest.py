"""Fixtures: a real Chromium, and pages that may neither complain nor call out."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Dialog, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "page"))

import render
from run_builder import Line, to_jsonl

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

OpenRun = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests; every test has its own context."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_run(browser: Browser, tmp_path: Path) -> Iterator[OpenRun]:
    """Return a function that renders a run (lines, or the bytes of a file) and opens it.

    When the test ends, a console error, an uncaught error, a dialog or a request for anything but
    the file itself fails it.
    """
    complaints: list[str] = []
    contexts = []

    def open_page(run: list[Line] | bytes, at: str = "", **options: object) -> Page:
        html = tmp_path / "report.html"
        data = run if isinstance(run, bytes) else to_jsonl(run)
        html.write_text(render.render(data), encoding="utf-8")
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}} | options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        url = html.as_uri()

        def check_request(address: str) -> None:
            if address.split("#")[0] != url:
                complaints.append(f"request: {address[:200]}")

        def dialog(box: Dialog) -> None:
            complaints.append(f"dialog: {box.message}")
            box.dismiss()

        page.on("request", lambda request: check_request(request.url))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("dialog", dialog)
        page.on(
            "console",
            lambda message: (
                complaints.append(f"console: {message.text}")
                if message.type in ("error", "warning")
                else None
            ),
        )
        page.goto(url + at)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
