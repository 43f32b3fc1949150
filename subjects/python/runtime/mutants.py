"""The catalogue of faults this runtime can be started with, to prove that they are found.

A fault is a name here and an `active("name")` at the place it changes. None exists yet.
"""

from __future__ import annotations

CATALOGUE: dict[str, str] = {}  # name → the rule it breaks

_active = ""


def activate(name: str) -> None:
    """Switch one fault on for the life of the process. Raises KeyError for an unknown name."""
    global _active
    if name not in CATALOGUE:
        raise KeyError(name)
    _active = name


def active(name: str) -> bool:
    """Is this the fault that is switched on?"""
    return _active == name
