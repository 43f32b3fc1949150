"""A runtime of another language costs one small adapter: that of each subject says how small.

What serves the control plane is the folder `adapter/`: every line of its sources counts, comments
and blank lines too. The runtime beside it and the testbed's application do not.
"""

from __future__ import annotations

import pathlib

import pytest

SUBJECTS = pathlib.Path(__file__).resolve().parents[2] / "subjects"
ADAPTERS = sorted(SUBJECTS.glob("*/adapter"))
FEWER_THAN = 250
SOURCES = {".cc", ".h", ".py", ".rs", ".swift"}


def lines_of(adapter: pathlib.Path) -> dict[str, int]:
    """How many lines each source has."""
    return {
        str(path.relative_to(adapter)): len(path.read_text(encoding="utf-8").splitlines())
        for path in sorted(adapter.rglob("*"))
        if path.suffix in SOURCES
    }


def test_every_subject_has_one():
    names = {adapter.parent.name for adapter in ADAPTERS}
    assert names == {"cpp", "python", "rust", "swift"}


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda path: path.parent.name)
def test_an_adapter_is_small(adapter: pathlib.Path):
    lines = lines_of(adapter)
    assert 0 < sum(lines.values()) < FEWER_THAN, lines
    others = {p.suffix for p in adapter.rglob("*") if p.is_file()} - SOURCES
    assert others <= {".toml", ".pyc"}, "sources of a kind that is not counted"
