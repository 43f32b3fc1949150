"""The guide for authors of runtimes holds what it promises: spec/guide/README.md."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("COUNTERPART_PROGRAM", str(ROOT / "build/harness/counterpart"))
GUIDE = ROOT / "spec/guide"
FIRST_CELL = "lang_mine_transport_tcp::direction_harness_to_subject::rpc_echo_roundtrip"


def counterpart(*words: str, cwd: pathlib.Path) -> subprocess.CompletedProcess[str]:
    """With the least subject, named as one types it in its folder."""
    paths = {"PYTHONPATH": str(ROOT / "build/python")}
    return subprocess.run(
        [PROGRAM, *words, "--subject", f"mine={sys.executable} first_cell.py"],
        cwd=cwd,
        env=os.environ | paths,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_first_cell_is_green(tmp_path: pathlib.Path) -> None:
    """So it is in twenty runs, and what they judged is more than that it answers."""
    out = tmp_path / "out"
    ended = counterpart("run", FIRST_CELL, "--runs", "20", "--out", str(out), cwd=GUIDE)
    assert ended.returncode == 0, ended.stdout
    assert "1 passed, 0 failed, 0 skipped" in ended.stdout
    rows = [json.loads(line) for line in (out / "run.jsonl").read_text().splitlines()]
    judged = {row["rule"] for row in rows[-1]["footer"]["rules"]}
    assert {"session.handshake", "session.goodbye", "schema.exchange.required"} <= judged


def test_the_guide_names_every_group_that_check_prints() -> None:
    """In the same order, which is the order to build them in."""
    text = (GUIDE / "README.md").read_text(encoding="utf-8")
    listed = json.loads(
        subprocess.run(
            [PROGRAM, "list", "--format", "json", "lang_cpp_transport_*::**"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )
    groups = {cell["group"] for cell in listed}
    places = [text.index(f"| `{group}`") for group in groups]
    assert len(places) == len(groups)
