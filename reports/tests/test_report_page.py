"""The page in a browser: matrix, filter, drawer, rules, dropped files, hostile runs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect
from run_builder import (
    DIRECTIONS,
    RULES,
    Line,
    build_run,
    cell_id,
    scenario_names,
    to_jsonl,
)

OpenRun = Callable[..., Page]  # of the fixture `open_run`

OUT, BACK = DIRECTIONS
NAMES = [name for name, _ in scenario_names(60)]
RED = {
    (33, "go", OUT): 1,
    (3, "cpp", OUT): 4,
    (3, "cpp", BACK): 4,
    (41, "cpp", BACK): 2,
}
UNSUPPORTED = {(59, "go", OUT), (59, "go", BACK)}


def two_by_sixty() -> list[Line]:
    """Return the run most tests look at: 240 cells, of which 2 failed, 2 are flaky, 2 cannot."""
    return build_run(red=RED, unsupported=UNSUPPORTED)


def cells(page: Page) -> Locator:
    """Return every cell of the matrix."""
    return page.get_by_role("gridcell").and_(page.locator("td[aria-label]"))


def cell(page: Page, index: int, subject: str, direction: str) -> Locator:
    """Return one cell by its accessible name."""
    words = direction.replace("_", " ")
    return page.get_by_role("gridcell", name=re.compile(f": {NAMES[index]}, {subject}, {words}$"))


def drawer(page: Page) -> Locator:
    """Return the drawer."""
    return page.get_by_role("dialog")


def row_names(page: Page) -> list[str]:
    """Return the scenarios in the order shown."""
    return page.locator("tr.row .mono").all_inner_texts()


def exec_of(lines: list[Line], index: int, subject: str, direction: str, ordinal: int = 0) -> Line:
    """Return the exec line of a run, to be changed by a test."""
    wanted = f"{cell_id(subject, direction, NAMES[index])}#{ordinal}"
    return next(line["exec"] for line in lines if line.get("exec", {}).get("id") == wanted)


# ---- matrix


def test_matrix_has_every_scenario_and_column(open_run: OpenRun) -> None:
    """Rows are scenarios in groups, columns are subject and direction, every cell has a name."""
    page = open_run(two_by_sixty())
    expect(page.locator("tr.row")).to_have_count(60)
    expect(cells(page)).to_have_count(240)
    expect(page.locator("thead tr").nth(0).locator("th")).to_have_text(["Scenario", "cpp", "go"])
    expect(page.locator("thead tr").nth(1).locator("th")).to_have_text(["H → S", "S → H"] * 2)
    expect(page.locator("tr.section")).to_have_count(7)
    expect(cell(page, 3, "cpp", OUT)).to_have_text("✗")
    expect(cell(page, 33, "go", OUT)).to_have_text("~ 1/4")
    expect(cell(page, 33, "go", OUT)).to_have_accessible_name(re.compile("^flaky, 1 of 4 runs red"))
    expect(cell(page, 59, "go", OUT)).to_have_text("–")
    expect(cell(page, 0, "go", OUT)).to_have_text("✓")


def test_pairs_stand_behind_the_single_subjects(open_run: OpenRun) -> None:
    """Cells of two subjects are columns of their own, by server and then client."""
    lines = build_run(("cpp", "go"), 6)
    more = []
    for server, client in (("go", "cpp"), ("cpp", "go")):
        for line in lines:
            if line.get("cell", {}).get("direction") != OUT or line["cell"]["subject"] != server:
                continue
            pair = json.loads(json.dumps(line))
            name = pair["cell"]["scenario"]
            for conduit, suffix in (("", ""), ("stable", "_conduit_stable")):
                where = f"lang_{server}_server_{client}_client_tcp{suffix}"
                pair["cell"] |= {
                    "client": client,
                    "conduit": conduit,
                    "direction": "bidirectional",
                    "id": f"{where}::direction_bidirectional::{name}",
                }
                more.append(json.loads(json.dumps(pair)))
    page = open_run(lines[:-1] + more + lines[-1:])
    expect(page.locator("thead tr").nth(0).locator("th")).to_have_text(
        [
            "Scenario",
            "cpp",
            "go",
            "cpp serves tcp bare",
            "cpp serves tcp stable",
            "go serves tcp bare",
            "go serves tcp stable",
        ]
    )
    expect(page.locator("thead tr").nth(1).locator("th")).to_have_text(
        ["H → S", "S → H", "H → S", "S → H", "go", "go", "cpp", "cpp"]
    )
    expect(cells(page)).to_have_count(48)
    named = page.get_by_role("gridcell", name=re.compile("go serving cpp, bidirectional$"))
    expect(named).to_have_text(["✓"] * 6)
    page.locator("#filter").fill("subject:go dir:bidirectional")
    expect(page.locator("#count")).to_have_text("24 of 48 cells")


def test_summary_counts(open_run: OpenRun) -> None:
    """The top says what came out, and that every planned run is accounted for."""
    page = open_run(two_by_sixty())
    tally = page.get_by_role("group", name="Cells by status")
    for text in ("2 failed", "2 flaky", "234 passed", "2 unsupported", "0 not run"):
        expect(tally.get_by_role("button", name=text, exact=False)).to_be_visible()
    expect(page.locator("#run-facts")).to_contain_text("952 planned = 952 accounted")
    expect(page.locator("#run-facts")).to_contain_text("1 min 13 s")
    expect(page.locator("#run-facts")).to_contain_text("18446744073709551615")
    expect(page.locator(".banner")).to_have_count(0)
    expect(page).to_have_title("✗ 4 red · Counterpart")


def test_a_conduit_is_a_column_group_of_its_own(open_run: OpenRun) -> None:
    """The same subject over two conduits is two groups of columns, named by the conduit."""
    lines = build_run(("cpp",), 6)
    more = json.loads(json.dumps([line for line in lines if "cell" in line]))
    for line in more:
        line["cell"]["conduit"] = "stable"
        line["cell"]["id"] = line["cell"]["id"].replace("_tcp::", "_tcp_conduit_stable::")
    page = open_run(lines[:-1] + more + lines[-1:])
    expect(page.locator("thead tr").nth(0).locator("th")).to_have_text(
        ["Scenario", "cpp tcp bare", "cpp tcp stable"]
    )
    expect(cells(page)).to_have_count(24)


def test_names_stay_readable_beside_the_drawer(open_run: OpenRun) -> None:
    """Opening a cell narrows the matrix but cuts no scenario's name."""
    page = open_run(build_run(("cpp", "go", "js", "swift"), 12, red={(3, "cpp", OUT): 1}))
    cells(page).first.click()
    expect(drawer(page)).to_be_visible()
    cut = """nodes => nodes.filter((node) => {
      const head = node.parentElement.getBoundingClientRect();
      return node.getBoundingClientRect().right + 24 > head.right; // room for an ellipsis
    }).length"""
    assert page.locator("tr.row .mono").evaluate_all(cut) == 0
    last = cells(page).nth(7)
    last.click()
    names = page.locator("th.corner").bounding_box()
    for _ in range(7):
        page.keyboard.press("ArrowLeft")
    opened = page.locator("td[aria-selected]").bounding_box()
    assert opened["x"] >= names["x"] + names["width"] - 1


def test_failures_come_first_until_asked_otherwise(open_run: OpenRun) -> None:
    """Red scenarios are pulled to the top, the worst first; the toggle restores the order."""
    page = open_run(two_by_sixty())
    assert row_names(page)[:3] == [NAMES[3], NAMES[33], NAMES[41]]
    page.get_by_label("Failures first").uncheck()
    expect(page).to_have_url(re.compile("order=spec"))
    assert row_names(page) == NAMES
    page.reload()
    expect(page.get_by_label("Failures first")).not_to_be_checked()
    assert row_names(page) == NAMES


def test_header_and_first_column_stay(open_run: OpenRun) -> None:
    """The header row and the names are where they were after scrolling both ways."""
    page = open_run(two_by_sixty(), viewport={"width": 420, "height": 500})
    corner = page.locator("th.corner")
    head = page.locator("thead tr").nth(1).locator("th").first
    before, head_before = corner.bounding_box(), head.bounding_box()
    page.locator("#main").evaluate("node => node.scrollTo(60, 600)")
    assert page.locator("#main").evaluate("node => node.scrollTop") == 600
    assert corner.bounding_box() == before
    assert head.bounding_box()["y"] == head_before["y"]
    assert head.bounding_box()["x"] < head_before["x"]


def test_a_group_folds(open_run: OpenRun) -> None:
    """A group's heading hides and shows its rows."""
    page = open_run(two_by_sixty())
    heading = page.get_by_role("button", name="session 10 scenarios")
    heading.click()
    expect(page.locator("tr.row")).to_have_count(50)
    expect(heading).to_be_focused()
    heading.press("Enter")
    expect(page.locator("tr.row")).to_have_count(60)


def test_four_by_two_hundred_and_fifty(open_run: OpenRun) -> None:
    """A large matrix is complete and its filter works."""
    red = {(n, "js", OUT): 1 for n in range(0, 250, 25)}
    page = open_run(build_run(("cpp", "go", "js", "swift"), 250, runs=2, red=red))
    expect(cells(page)).to_have_count(2000)
    page.get_by_label("Filter").fill("status:flaky")
    expect(page.locator("tr.row")).to_have_count(10)
    page.get_by_label("Filter").fill("")
    expect(cells(page)).to_have_count(2000)


# ---- filter


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("status:red", 4),
        ("status:fail", 2),
        ("status:fail,flaky", 4),
        ("status:fail status:flaky subject:cpp", 3),
        ("-status:pass -status:unsupported", 4),
        ("subject:go", 120),
        ("dir:harness subject:go group:rpc", 10),
        ("rule:channel.rule.3", 8),
        ("rule:*.rule.5 subject:cpp dir:subject", 10),
        ("byte_3 subject:cpp", 2),
        ('"EVERY byte 3" dir:harness', 2),
        ("arrived on channel", 4),
        ("nothing at all", 0),
        ("status:", 240),
    ],
)
def test_filter_terms(open_run: OpenRun, text: str, count: int) -> None:
    """Words and terms all bind, values of one term are alternatives."""
    page = open_run(two_by_sixty())
    page.get_by_label("Filter").fill(text)
    expect(page.locator("#count")).to_have_text(f"{count} of 240 cells")
    expect(page.locator("td[aria-label]:not(.off)")).to_have_count(count)


def test_filter_lives_in_the_url(open_run: OpenRun) -> None:
    """It survives a reload, can be shared, and Back undoes it as a whole."""
    page = open_run(two_by_sixty())
    box = page.get_by_label("Filter")
    box.press_sequentially("subject:go status:red")
    expect(page).to_have_url(re.compile(r"#q=subject:go\+status:red$"))
    expect(page.locator("tr.row")).to_have_count(1)
    page.reload()
    expect(box).to_have_value("subject:go status:red")
    expect(page.locator("tr.row")).to_have_count(1)
    expect(page.locator("thead tr").nth(0).locator("th")).to_have_text(["Scenario", "go"])
    page.go_back()
    expect(box).to_have_value("")
    expect(page.locator("tr.row")).to_have_count(60)
    page.go_forward()
    expect(page.locator("tr.row")).to_have_count(1)


def test_chips_count_and_toggle(open_run: OpenRun) -> None:
    """A chip adds its status to the filter and takes it out again; counts follow the rest."""
    page = open_run(two_by_sixty(), "#q=subject:cpp")
    flaky = page.get_by_role("button", name="flaky")
    expect(flaky).to_have_text(re.compile("1 flaky"))
    flaky.click()
    expect(page.get_by_label("Filter")).to_have_value("subject:cpp status:flaky")
    expect(flaky).to_have_attribute("aria-pressed", "true")
    expect(page.locator("tr.row")).to_have_count(1)
    flaky.press("Enter")
    expect(page.get_by_label("Filter")).to_have_value("subject:cpp")
    expect(page.locator("tr.row")).to_have_count(60)


# ---- drawer


def test_a_click_opens_the_drawer_with_what_explains_a_red_run(
    open_run: OpenRun,
) -> None:
    """Statement, signature, rule text, evidence, faults, timeline, stderr and commands."""
    page = open_run(two_by_sixty())
    cell(page, 3, "cpp", OUT).click()
    box = drawer(page)
    rule = "link.rule.3"
    for text in (
        NAMES[3],
        "0/4 passed",
        "4 ×",
        "An item arrived on channel 5 after its sender had closed it.",
        dict(RULES)[rule],
        "spec/rules/link.md",
        "fixpoint 12: every thread blocked, nothing in flight, no timer due",
        "frame 9, byte 214",
        "After CloseChannel nothing may follow; an item of 12 bytes did.",
        "panicked at 'unwrap on None'",
        f"counterpart replay 'traces/{cell_id('cpp', OUT, NAMES[3])}#0.jsonl'",
        f"counterpart run '{cell_id('cpp', OUT, NAMES[3])}' --seed 1000",
        "2.60 ms",
    ):
        expect(box).to_contain_text(text)
    expect(box.locator(".step")).to_have_count(9)
    expect(cell(page, 3, "cpp", OUT)).to_have_attribute("aria-selected", "true")
    expect(page).to_have_url(re.compile("cell=lang_cpp_transport_tcp"))


def test_the_drawer_shows_what_a_fixpoint_rests_on(open_run: OpenRun) -> None:
    """Thread by thread, with timers, bytes and the subject's own word; and why it was given up."""
    lines = two_by_sixty()
    red = cell_id("cpp", OUT, NAMES[3])
    for line in lines:
        if line.get("exec", {}).get("cell") == red:
            line["exec"]["unjudged"] = "stalled"
            line["exec"]["fixpoints"] = [
                {
                    "subject": "cpp",
                    "given_up": "stalled",
                    "threads": [
                        {
                            "process": 11,
                            "thread": 12,
                            "name": "event_engine",
                            "state": "S",
                            "blocked_in": "epoll_wait",
                            "until": "1200 ms",
                            "housekeeping": True,
                        }
                    ],
                    "timers": [{"what": "worker in nanosleep", "due_us": "30000000"}],
                    "links": [{"sent": "1", "read": "22", "written": "333", "unread": "4444"}],
                    "settle": "3 commands taken in",
                }
            ]
    page = open_run(lines)
    cell(page, 3, "cpp", OUT).click()
    box = drawer(page)
    expect(box).to_contain_text("stalled")
    box.get_by_text("Given up: cpp, 1 thread").first.click()
    for text in (
        "11/12",
        "event_engine (housekeeping)",
        "epoll_wait",
        "1200 ms",
        "worker in nanosleep",
        "30,000 ms",
        "4,444",
        "3 commands taken in",
    ):
        expect(box).to_contain_text(text)


def test_a_banner_says_what_did_not_repeat_and_what_was_never_met(open_run: OpenRun) -> None:
    """The harness's findings about itself stand above the matrix."""
    lines = two_by_sixty()
    lines[-1]["footer"] |= {
        "driven_again": 12,
        "diverged": 1,
        "unseen_moments": [{"cell": "some_cell", "moment": "a cut by RST", "runs": 60}],
    }
    page = open_run(lines)
    expect(page.get_by_text("1 of 12 runs driven again with the same seed")).to_be_visible()
    page.get_by_text("1 moment of chance never met").click()
    expect(page.get_by_text("some_cell: a cut by RST (60 runs)")).to_be_visible()


def test_timeline_has_two_sides_and_full_texts(open_run: OpenRun) -> None:
    """Harness left, subject right, in order of time; an entry opens to all that is known."""
    page = open_run(two_by_sixty())
    cell(page, 3, "cpp", OUT).click()
    steps = drawer(page).locator(".step")
    left, right = steps.nth(2).get_by_role("button"), steps.nth(3).get_by_role("button")
    expect(left).to_contain_text("Hello")
    expect(right).to_contain_text("HelloYourself")
    spine = drawer(page).locator(".spine").first.bounding_box()["x"]
    assert left.bounding_box()["x"] + left.bounding_box()["width"] <= spine
    assert right.bounding_box()["x"] >= spine
    assert drawer(page).locator(".step time").all_inner_texts()[:3] == [
        "0.000",
        "0.137",
        "0.548",
    ]
    steps.nth(5).get_by_role("button").click()
    expect(steps.nth(5)).to_contain_text("s1.g1.link1")
    expect(steps.nth(5)).to_contain_text("00 01 02 03")
    drawer(page).get_by_role("button", name="Entry 8").click()
    expect(steps.nth(8).get_by_role("button").first).to_be_focused()
    expect(steps.nth(8)).to_contain_text(dict(RULES)["link.rule.3"])


def test_keyboard_opens_moves_and_closes(open_run: OpenRun) -> None:
    """Arrows move, Enter and Space open, arrows go on in the drawer, Escape returns the focus."""
    page = open_run(two_by_sixty())
    first = cell(page, 3, "cpp", OUT)
    page.get_by_label("Failures first").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(first).to_be_focused()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(cell(page, 33, "cpp", BACK)).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    title = drawer(page).get_by_role("heading", level=2)
    expect(title).to_have_text(NAMES[3])
    expect(drawer(page)).to_contain_text("subject to harness")
    page.keyboard.press("ArrowDown")
    expect(title).to_have_text(NAMES[33])
    page.keyboard.press("ArrowRight")
    expect(drawer(page)).to_contain_text("1 way to fail")
    page.keyboard.press("Escape")
    expect(drawer(page)).to_have_count(0)
    expect(cell(page, 33, "go", OUT)).to_be_focused()
    page.keyboard.press("Home")
    page.keyboard.press(" ")
    expect(title).to_have_text(NAMES[33])
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    expect(cell(page, 33, "go", OUT)).to_be_focused()
    page.keyboard.press("/")
    expect(page.get_by_label("Filter")).to_be_focused()


def test_tab_stays_in_the_drawer(open_run: OpenRun) -> None:
    """Forward from the last stop leads to the first, backward the other way."""
    page = open_run(two_by_sixty())
    cell(page, 3, "cpp", OUT).press("Enter")
    expect(drawer(page).locator(".head")).to_be_focused()
    for key in ("Shift+Tab", "Tab", "Shift+Tab"):
        page.keyboard.press(key)
        expect(drawer(page).locator(":focus")).to_have_count(1)
    page.keyboard.press("Tab")
    expect(drawer(page).get_by_role("button", name="Previous red cell")).to_be_focused()


def test_back_and_reload_keep_the_cell(open_run: OpenRun) -> None:
    """The open cell and run are in the URL."""
    page = open_run(two_by_sixty())
    cell(page, 41, "cpp", BACK).click()
    drawer(page).get_by_role("button", name="Run 3, passed").click()
    expect(page).to_have_url(re.compile("exec="))
    expect(drawer(page)).to_contain_text("Passed.")
    page.reload()
    expect(drawer(page)).to_contain_text("Passed.")
    page.go_back()
    expect(drawer(page)).to_contain_text("An item arrived on channel 5")
    page.go_back()
    expect(drawer(page)).to_have_count(0)


def test_copy_takes_the_whole_command(open_run: OpenRun) -> None:
    """The copy button puts the command on the clipboard and says so."""
    page = open_run(two_by_sixty(), permissions=["clipboard-read", "clipboard-write"])
    cell(page, 3, "cpp", OUT).click()
    button = drawer(page).get_by_role("button", name="Copy the re-drive command")
    button.click()
    expect(button).to_have_text("Copied")
    text = page.evaluate("navigator.clipboard.readText()")
    assert text == f"counterpart run '{cell_id('cpp', OUT, NAMES[3])}' --seed 1000"


def test_unsupported_cell_says_why(open_run: OpenRun) -> None:
    """An unsupported cell opens too."""
    page = open_run(two_by_sixty())
    cell(page, 59, "go", BACK).click()
    expect(drawer(page)).to_contain_text("needs stable_conduit, which is not declared")


def test_runs_that_are_left_out_are_said_to_be(open_run: OpenRun) -> None:
    """Of many runs the page holds the first; it says how many there are."""
    page = open_run(build_run(scenarios=6, runs=40))
    cells(page).first.click()
    expect(drawer(page)).to_contain_text("3 of 40 are in this page")


def test_long_timeline_shows_its_end_first(open_run: OpenRun) -> None:
    """Earlier entries come on demand, or when a finding rests on one."""
    lines = two_by_sixty()
    run = exec_of(lines, 3, "cpp", OUT)
    run["timeline"] = [
        {
            "index": str(n),
            "side": "TRACE_SIDE_SUBJECT",
            "kind": "payload",
            "label": f"item {n}",
        }
        for n in range(3000)
    ]
    run["findings"][0]["entry"] = "7"
    page = open_run(lines)
    cell(page, 3, "cpp", OUT).click()
    steps = drawer(page).locator(".step")
    expect(steps).to_have_count(300)
    expect(steps.first).to_contain_text("item 2700")
    drawer(page).get_by_role("button", name="Entry 7").click()
    expect(steps).to_have_count(3000)
    texts = drawer(page).locator(".step b").all_inner_texts()
    assert texts == [f"item {n}" for n in range(3000)]
    expect(
        drawer(page).locator('.step[data-entry="7"]').get_by_role("button").first
    ).to_be_focused()


# ---- hostile runs

ATTACK = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


def test_hostile_strings_are_text(open_run: OpenRun) -> None:
    """Markup from a subject is shown as it is written, everywhere."""
    lines = two_by_sixty()
    run = exec_of(lines, 3, "cpp", OUT)
    run |= {
        "reason": ATTACK,
        "subject_stderr": ATTACK + "\x1b[31m\u202e",
        "evidence": ATTACK,
    }
    run |= {
        "replay": ATTACK,
        "trace": "javascript:alert(3)",
        "rule": ATTACK,
        "exit_status": ATTACK,
    }
    run["timeline"][3] |= {
        "label": ATTACK,
        "text": ATTACK,
        "kind": ATTACK,
        "edge": ATTACK,
    }
    run["faults"][0]["where"] = ATTACK
    lines[1]["scenario"]["summary"] = ATTACK
    lines[0]["header"]["subjects"][0]["name"] = ATTACK
    lines[0]["header"]["host"] = ATTACK
    page = open_run(lines)
    expect(page.locator("#run-facts")).to_contain_text(ATTACK)
    expect(page.locator("tr.row", has_text=ATTACK)).to_have_count(1)
    cell(page, 3, "cpp", OUT).click()
    expect(drawer(page).locator(".verdict")).to_contain_text(ATTACK)
    stderr = drawer(page).get_by_label("Standard error of the subject")
    expect(stderr).to_have_text(ATTACK + "␛[31m\\u202e")
    steps = drawer(page).locator(".step")
    steps.nth(3).get_by_role("button").click()
    expect(steps.nth(3).get_by_label("Text of the entry")).to_have_text(ATTACK)
    expect(page.locator("script")).to_have_count(2)
    expect(page.locator("img")).to_have_count(0)
    for link in drawer(page).locator("a").all():
        assert link.get_attribute("href").startswith("./")


def test_a_mebibyte_is_cut(open_run: OpenRun) -> None:
    """10,000 characters at first, 100,000 on demand, then a note."""
    lines = two_by_sixty()
    run = exec_of(lines, 3, "cpp", OUT)
    run["subject_stderr"] = "x" * (1 << 20)
    run["timeline"][4]["text"] = "y" * (1 << 20)
    page = open_run(lines)
    cell(page, 3, "cpp", OUT).click()
    stderr = drawer(page).get_by_label("Standard error of the subject")
    expect(stderr).to_have_text("x" * 10_000)
    expect(drawer(page)).to_contain_text("10,000 of 1,048,576 characters shown.")
    drawer(page).get_by_role("button", name="Show all").click()
    expect(stderr).to_have_text("x" * 100_000)
    expect(drawer(page)).to_contain_text("Cut at 100,000 of 1,048,576 characters")
    step = drawer(page).locator(".step").nth(4)
    assert len(step.inner_text()) < 1000
    step.get_by_role("button").click()
    expect(step.get_by_label("Text of the entry")).to_have_text("y" * 10_000)


def test_invalid_utf8_is_replaced(open_run: OpenRun) -> None:
    """Bytes that are no text are shown as U+FFFD."""
    lines = two_by_sixty()
    exec_of(lines, 3, "cpp", OUT)["subject_stderr"] = "before MARK after"
    page = open_run(to_jsonl(lines).replace(b"MARK", b"\xff\xc0\x80"))
    cell(page, 3, "cpp", OUT).click()
    stderr = drawer(page).get_by_label("Standard error of the subject")
    expect(stderr).to_have_text(re.compile("^before \ufffd+ after$"))


def test_lines_of_wrong_shape_do_no_harm(open_run: OpenRun) -> None:
    """Lines that are JSON but not what the proto says are shown as well as can be."""
    lines: list[Line] = [
        {
            "header": {
                "subjects": "none",
                "rules": [None, 3, {"id": 5}],
                "command": {"a": 1},
            }
        },
        {"scenario": {"name": "__proto__", "group": "constructor", "directions": 7}},
        {"exec": {"id": "__proto__::x::y#1", "cell": "__proto__::x::y", "verdict": 99}},
        {
            "exec": {
                "cell": {"toString": 1},
                "timeline": [[], "x", {"side": {}, "time_us": "x"}],
            }
        },
        {
            "cell": {
                "status": "CELL_STATUS_WHATEVER",
                "signatures": [1, {"count": -1}],
                "runs": "x",
            }
        },
        {"unknown": 1},
    ]
    page = open_run(lines)
    count = cells(page).count()
    assert count >= 2
    for index in range(count):
        cells(page).nth(index).click()
        expect(drawer(page)).to_be_visible()


def test_the_policy_forbids_requests_and_markup(browser: Browser, open_run: OpenRun) -> None:
    """Even code in the page could neither call out nor turn a string into markup."""
    source = open_run(two_by_sixty())
    context = browser.new_context()
    page = context.new_page()
    page.goto(source.url)
    fetched = "fetch('https://example.invalid/').then(() => 'sent', (e) => e.name)"
    assert page.evaluate(fetched) == "TypeError"
    markup = (
        "() => { try { document.body.innerHTML = 'x'; return ''; } catch (e) { return e.name } }"
    )
    assert page.evaluate(markup) == "TypeError"
    inline = """() => {
      const node = document.createElement('p');
      try { node.setAttribute('onclick', 'window.hit = 1'); } catch { return 'refused'; }
      document.body.append(node);
      node.click();
      return window.hit ? 'ran' : 'refused';
    }"""
    assert page.evaluate(inline) == "refused"
    context.close()


# ---- incomplete and dropped runs


def test_incomplete_run_says_so(open_run: OpenRun) -> None:
    """Without a footer: a banner, cells counted from the runs so far, the rest as not run."""
    lines = [line for line in two_by_sixty() if "cell" not in line and "footer" not in line]
    page = open_run(to_jsonl(lines[:200]) + b'{"exec":{"id":"cut of')
    expect(page.locator(".banner.bad")).to_contain_text("Incomplete run: the file has no footer")
    expect(page.locator("#banners")).to_contain_text("1 line of the file could not be read")
    expect(cells(page)).to_have_count(240)
    expect(cell(page, 3, "cpp", OUT)).to_have_text("✗")
    expect(cell(page, 0, "cpp", OUT)).to_have_text("✓")
    expect(cell(page, 50, "cpp", OUT)).to_have_text("·")
    cell(page, 3, "cpp", OUT).click()
    expect(drawer(page)).to_contain_text("4 ×")


def test_unaccounted_runs_are_said(open_run: OpenRun) -> None:
    """planned = accounted, or nothing can be concluded."""
    lines = two_by_sixty()
    lines[-1]["footer"] |= {"accounted": 900, "interrupted": True}
    page = open_run(lines)
    expect(page.locator(".banner.bad")).to_contain_text("952 runs were planned but 900")
    expect(page.locator("#banners")).to_contain_text("Interrupted")


def drop(page: Page, name: str, data: bytes) -> None:
    """Drop a file on the page, as a file manager would."""
    transfer = page.evaluate_handle(
        """([name, text]) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([text], name));
          return transfer;
        }""",
        [name, data.decode()],
    )
    page.dispatch_event("#main", "dragenter", {"dataTransfer": transfer})
    expect(page.locator("#drop")).to_be_visible()
    page.dispatch_event("#main", "drop", {"dataTransfer": transfer})
    expect(page.locator("#drop")).to_be_hidden()


def test_drop_of_another_run(open_run: OpenRun) -> None:
    """A dropped file replaces the run until one goes back; nothing is sent."""
    page = open_run(two_by_sixty())
    cell(page, 3, "cpp", OUT).click()
    drop(page, "other.jsonl", to_jsonl(build_run(("js",), 12)) + b"{cut")
    expect(cells(page)).to_have_count(24)
    expect(page.locator("#banners")).to_contain_text("Showing other.jsonl")
    expect(page.locator("#banners")).to_contain_text("1 line of the file could not be read")
    expect(drawer(page)).to_have_count(0)
    cells(page).first.click()
    expect(drawer(page)).to_contain_text("4/4 passed")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Back to the report of this page").click()
    expect(cells(page)).to_have_count(240)
    expect(page.locator(".banner")).to_have_count(0)


def test_open_by_the_file_button(open_run: OpenRun, tmp_path: Path) -> None:
    """The button does what dropping does; what is no run is refused in words."""
    run, other = tmp_path / "mine.jsonl", tmp_path / "photo.jsonl"
    run.write_bytes(to_jsonl(build_run(("js",), 12)))
    other.write_bytes(b"\x89PNG\r\n\x1a\n")
    page = open_run(b"")
    expect(page.get_by_role("heading", name="No run to show")).to_be_visible()
    page.locator("#file").set_input_files(other)
    expect(page.locator(".banner.bad")).to_have_text("photo.jsonl is not a run.jsonl.")
    page.locator("#file").set_input_files(run)
    expect(cells(page)).to_have_count(24)
    expect(page.locator(".banner.bad")).to_have_count(0)


# ---- rules


def test_rules_view(open_run: OpenRun) -> None:
    """Rule by subject: tested or not, how often, broken how often, percentages rounded down."""
    page = open_run(two_by_sixty())
    page.get_by_role("button", name="Rules", exact=True).click()
    expect(page).to_have_url(re.compile("view=rules"))
    expect(page.locator("tr.row")).to_have_count(len(RULES))
    head = page.locator("thead tr").nth(1).locator("th")
    expect(head).to_have_text(["36/48 75 %", "36/48 75 %"])
    row = page.get_by_role("row", name=re.compile("^link.rule.3"))
    expect(row.locator("td")).to_have_text(["✗ 8/16", "✓ 16"])
    untested = page.get_by_role("row", name=re.compile("^rpc.rule.7"))
    expect(untested.locator("td")).to_have_text(["·", "·"])
    page.get_by_label("Filter").fill("rule:link status:untested")
    expect(page.locator("tr.row")).to_have_count(2)
    page.get_by_label("Filter").fill("link.rule status:violated")
    expect(page.locator("tr.row")).to_have_count(1)
    expect(head).to_have_text(["1/1 100 %", "1/1 100 %"])
    page.get_by_role("button", name="link.rule.3").click()
    page.get_by_role("button", name="Show its cells").click()
    expect(page.locator("#count")).to_have_text("8 of 240 cells")
    page.go_back()
    expect(page.locator("tr.row")).to_have_count(1)


def test_percentages_are_rounded_down(open_run: OpenRun) -> None:
    """Two of three is 66 %, not 67."""
    lines = build_run(("cpp",), 2)
    ids = ("link.rule.0", "session.rule.1", "rpc.rule.2")
    lines[0]["header"]["rules"] = [{"id": name, "text": "x", "source": "s"} for name in ids]
    page = open_run(lines, "#view=rules")
    expect(page.locator("thead tr").nth(1).locator("th")).to_have_text(["2/3 66 %"])


# ---- accessibility and paper


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_accessibility_violation(open_run: OpenRun, scheme: str) -> None:
    """axe finds nothing in matrix, filtered matrix, drawer and rules, contrast included."""
    lines = two_by_sixty()
    lines[-1]["footer"]["interrupted"] = True
    statuses = ("ERROR", "INCONCLUSIVE", "NOT_RUN")
    for line, status in zip([x for x in lines if "cell" in x][20:], statuses, strict=False):
        line["cell"]["status"] = f"CELL_STATUS_{status}"
    page = open_run(lines, color_scheme=scheme)

    def check(what: str) -> None:
        results = Axe().run(page)
        assert results.violations_count == 0, f"{what}: {results.generate_report()}"

    check("matrix")
    page.get_by_label("Filter").fill("status:red")
    check("filtered")
    cell(page, 3, "cpp", OUT).click()
    drawer(page).locator(".step button").nth(8).click()
    check("drawer")
    page.keyboard.press("Escape")
    page.get_by_label("Filter").fill("")
    page.get_by_role("button", name="Rules", exact=True).click()
    page.get_by_role("button", name="link.rule.3").click()
    check("rules")


def test_paper_has_the_whole_matrix(open_run: OpenRun) -> None:
    """Printing drops the controls and does not cut the matrix at the window."""
    page = open_run(two_by_sixty())
    page.emulate_media(media="print")
    expect(page.get_by_label("Filter")).to_be_hidden()
    assert page.locator("#main").evaluate("node => node.scrollHeight - node.clientHeight") <= 0
    assert page.evaluate("document.documentElement.scrollHeight") > 1400
