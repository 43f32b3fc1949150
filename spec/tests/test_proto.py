"""The protos are free of lint and break nothing that spec/proto/baseline.txtpb holds.

`buf` comes from package.json (npm ci) and needs no network. After a deliberate, compatible change
write the baseline anew:

    npm run proto:baseline
"""

from __future__ import annotations

import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROTO = ROOT / "spec" / "proto"
BUF = ROOT / "node_modules" / ".bin" / "buf"


def buf(*arguments: str, cwd: pathlib.Path = PROTO) -> subprocess.CompletedProcess[str]:
    if not BUF.exists():
        pytest.skip("buf is not installed: run npm ci")
    return subprocess.run([BUF, *arguments], cwd=cwd, capture_output=True, text=True, check=False)


def test_lint():
    result = buf("lint")
    assert result.returncode == 0, result.stdout + result.stderr


def test_nothing_breaks_the_baseline():
    result = buf("breaking", "--against", "baseline.txtpb")
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_breaking_change_is_caught(tmp_path: pathlib.Path):
    copy = tmp_path / "proto"
    shutil.copytree(PROTO, copy)
    wire = copy / "counterpart/wire/v1/wire.proto"
    text = wire.read_text(encoding="utf-8")
    assert text.count("  uint64 settled_below = 7;") == 1
    wire.write_text(text.replace("  uint64 settled_below = 7;", "  uint32 settled_below = 7;"))
    result = buf("breaking", "--against", "baseline.txtpb", cwd=copy)
    assert result.returncode == 100
    assert "settled_below" in result.stdout
