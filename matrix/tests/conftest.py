"""Options of the tests in this folder, and where their programs keep what they keep."""

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """How long the longest of them takes."""
    parser.addoption("--kills", type=int, default=10, help="times a campaign is killed")
    parser.addoption("--kill-seed", type=int, default=1, help="of the moments of the kills")


@pytest.fixture(autouse=True)
def folder_for_subjects(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Where each subject gets a folder; a program that is killed leaves them behind."""
    folder = tmp_path_factory.mktemp("subjects")
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder
