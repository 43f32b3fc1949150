"""What a run of each kept trace takes on the wire: its connects, and its round trips over them.

    shape.py TRACE...       a line per trace: CONNECTS:TRIPS, as counterpart_floor takes them

A round trip is something said one way and then something said the other, however many frames each
of the two takes; what is said last and not answered is none. The control plane does not count.
Standard library only.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def shape(trace: str) -> tuple[int, int]:
    """Return the connects and the round trips of a trace of one subject."""
    last: dict[str, str] = {}  # who spoke last, by link
    turns: dict[str, int] = {}
    for line in trace.splitlines():
        entry = json.loads(line).get("entry", {})
        link = entry.get("edge", "").partition(".")[0]
        if not link.startswith("link"):
            continue
        turns.setdefault(link, 0)
        if entry["kind"] in ("payload", "write") and last.get(link) != entry["side"]:
            last[link] = entry["side"]
            turns[link] += 1
    return len(turns), sum(count // 2 for count in turns.values())


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print("{}:{}".format(*shape(Path(name).read_text(encoding="utf-8"))))
