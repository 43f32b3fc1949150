"""Why a session, or the attempt to open one, is over."""

from __future__ import annotations


class Ending(Exception):
    """`rule` names what was broken, or what the counterpart named; empty if nothing.

    `reason` is connect_gave_up, rejected, sorry, protocol_error, session_ended, or, of a
    registration, method_forbidden.
    """

    def __init__(self, reason: str, text: str, rule: str = "") -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text
        self.rule = rule
