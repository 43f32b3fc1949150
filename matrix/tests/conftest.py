"""Options of the tests in this folder."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """How long the longest of them takes."""
    parser.addoption("--kills", type=int, default=10, help="times a campaign is killed")
    parser.addoption("--kill-seed", type=int, default=1, help="of the moments of the kills")
