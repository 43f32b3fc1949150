"""Build run.jsonl files for the tests of the page.

Plain dicts in protobuf JSON as `report.proto` has it: snake_case, enums by name, 64-bit integers as
strings, defaults left out. A run is a list of Line dicts; `to_jsonl` makes the file of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

Line = dict[str, Any]

DIRECTIONS = ("harness_to_subject", "subject_to_harness")
GROUPS = {
    "link": "payload_split_at_every_byte",
    "session": "handshake_order_is_kept",
    "rpc": "unary_echo_with_metadata",
    "channel": "close_delivers_what_was_sent",
    "retry": "duplicate_attaches_to_live",
    "stable": "replay_keeps_order",
}
RULES = [
    (
        f"{group}.rule.{n}",
        f"Rule {n} of {group}: a peer MUST do what it says, once and in order.",
    )
    for group in GROUPS
    for n in range(8)
]


def header(subjects: Iterable[str], planned: int) -> Line:
    """Return the header line; every rule of RULES is in it."""
    return {
        "header": {
            "format": 1,
            "counterpart_version": "0.1.0",
            "started_at": "2026-03-04T05:06:07Z",
            "seed": "18446744073709551615",
            "command": ["counterpart", "run", "--runs", "50"],
            "subjects": [
                {
                    "id": name,
                    "language": name,
                    "name": f"{name} runtime",
                    "version": "1.0",
                }
                for name in subjects
            ],
            "jobs": 4,
            "host": "Linux 6.1, 8 cores",
            "wait_tier": "kernel",
            "planned": planned,
            "rules": [
                {
                    "id": rule,
                    "text": text,
                    "source": f"spec/rules/{rule.split('.')[0]}.md",
                }
                for rule, text in RULES
            ],
        }
    }


def scenario(name: str, group: str, rules: list[str]) -> Line:
    """Return the line of one scenario, in both directions."""
    return {
        "scenario": {
            "name": name,
            "group": group,
            "summary": f"What {group} promises holds while {name.replace('_', ' ')} is under way.",
            "directions": list(DIRECTIONS),
            "rules": rules,
        }
    }


def cell_id(subject: str, direction: str, name: str) -> str:
    """Return the id of a cell over plain TCP."""
    return f"lang_{subject}_transport_tcp::direction_{direction}::{name}"


def timeline(length: int = 9, text: str = "") -> list[dict[str, Any]]:
    """Return a trace that ends in a cut; `text`, if given, is said by the subject."""
    entries: list[dict[str, Any]] = [
        {
            "side": "TRACE_SIDE_HARNESS",
            "kind": "command",
            "label": "listen",
            "text": "listen on 0",
        },
        {
            "side": "TRACE_SIDE_SUBJECT",
            "kind": "reply",
            "label": "listening",
            "text": "port given",
        },
        {
            "side": "TRACE_SIDE_HARNESS",
            "kind": "payload",
            "label": "Hello",
            "text": "parity odd",
        },
        {
            "side": "TRACE_SIDE_SUBJECT",
            "kind": "payload",
            "label": "HelloYourself",
            "text": "ok",
        },
        {
            "side": "TRACE_SIDE_NOTE",
            "kind": "note",
            "label": "fault armed: RST after item 3",
        },
    ]
    for n in range(max(0, length - 8)):
        entries.append(
            {
                "side": "TRACE_SIDE_HARNESS" if n % 3 else "TRACE_SIDE_SUBJECT",
                "kind": "payload",
                "label": f"ChannelItem #{n}",
                "text": f"connection 0, channel 5, {n + 4} bytes",
                "data": "AAECAwQFBgcICQoLDA0ODxAREhM=",
            }
        )
    entries += [
        {
            "side": "TRACE_SIDE_HARNESS",
            "kind": "cut",
            "label": "RST",
            "text": "fault 1 fired",
        },
        {
            "side": "TRACE_SIDE_SUBJECT",
            "kind": "eof",
            "label": "EOF",
            "text": "link 1 is gone",
        },
        {
            "side": "TRACE_SIDE_SUBJECT",
            "kind": "payload",
            "label": "ChannelItem after Close",
            "text": text or "an item on channel 5, which was closed in entry 7",
        },
    ]
    for index, entry in enumerate(entries):
        entry |= {
            "index": str(index),
            "round": index // 2,
            "time_us": str(137 * index * index),
        }
        entry["edge"] = f"s1.g1.link{1 + index // 8}"
    return entries


def exec_line(
    cell: str, ordinal: int, verdict: str = "VERDICT_PASS", rule: str = "", **more: Any
) -> Line:
    """Return the line of one run; a red one has all that explains it."""
    line: dict[str, Any] = {
        "id": f"{cell}#{ordinal}",
        "cell": cell,
        "seed": str(1000 + ordinal),
        "ordinal": ordinal,
        "verdict": verdict,
        "ending": "ENDING_NORMAL",
        "duration_us": str(1800 + 37 * ordinal),
        "started_us": str(52000 * (ordinal + 1)),
        "incarnation": 1,
        "rules_judged": [rule] if rule else [],
    }
    if verdict != "VERDICT_PASS":
        entries = more.get("timeline", timeline())
        line |= {
            "reason": "An item arrived on channel 5 after its sender had closed it.",
            "rule": rule,
            "signature": f"{rule}@channel 5",
            "evidence": "fixpoint 12: every thread blocked, nothing in flight, no timer due",
            "wait_tier": "kernel",
            "trace": f"traces/{cell}#{ordinal}.jsonl",
            "trace_hash": "9f86d081884c7d65",
            "findings": [
                {
                    "level": "VERDICT_FAIL",
                    "rule": rule,
                    "text": "After CloseChannel nothing may follow; an item of 12 bytes did.",
                    "entry": str(len(entries) - 1),
                    "blame": "subject",
                }
            ],
            "faults": [
                {
                    "at": "after the third item",
                    "how": "rst",
                    "ordinal": 1,
                    "fired": True,
                    "where": "frame 9, byte 214",
                }
            ],
            "subject_stderr": "WARN channel 5: late item\npanicked at 'unwrap on None'\n",
            "replay": f"counterpart replay 'traces/{cell}#{ordinal}.jsonl'",
            "redrive": f"counterpart run '{cell}' --seed {1000 + ordinal}",
            "timeline": entries,
        }
    return {"exec": line | more}


def cell_line(
    subject: str,
    direction: str,
    name: str,
    group: str,
    execs: list[Line],
    rules: list[str],
    **more: Any,
) -> Line:
    """Return the line of one cell, counted from its execs."""
    verdicts = [line["exec"]["verdict"] for line in execs]
    red = [line["exec"] for line in execs if line["exec"]["verdict"] == "VERDICT_FAIL"]
    passed = verdicts.count("VERDICT_PASS")
    status = "PASS" if not red else "FAIL" if len(red) == len(execs) else "FLAKY"
    cell: dict[str, Any] = {
        "id": cell_id(subject, direction, name),
        "subject": subject,
        "transport": "tcp",
        "direction": direction,
        "scenario": name,
        "group": group,
        "runs": len(execs),
        "passed": passed,
        "failed": len(red),
        "statement": f"{passed}/{len(execs)} passed",
        "p50_us": "1800",
        "p90_us": "2600",
        "p99_us": "4100",
        "max_us": "5200",
        "distinct_traces": 2,
        "rules_judged": rules,
        "status": f"CELL_STATUS_{status}",
    }
    if red:
        cell |= {
            "first_failing_seed": red[0]["seed"],
            "first_failing_exec": red[0]["id"],
            "rate_low": "0.1142",
            "rate_high": "0.8858",
            "signatures": [
                {
                    "signature": red[0]["signature"],
                    "rule": red[0]["rule"],
                    "reason": red[0]["reason"],
                    "count": len(red),
                    "exec": red[0]["id"],
                }
            ],
        }
    return {"cell": cell | more}


def footer(cells: list[Line], runs: int, **more: Any) -> Line:
    """Return the footer line; coverage is summed from the cells."""
    statuses = [line["cell"]["status"] for line in cells]
    sums: dict[tuple[str, str], list[int]] = {}
    for line in cells:
        cell = line["cell"]
        for rule in cell["rules_judged"]:
            judged = sums.setdefault((rule, cell["subject"]), [0, 0])
            judged[0] += cell["runs"]
            judged[1] += cell["failed"]
    green = statuses.count("CELL_STATUS_PASS")
    unsupported = statuses.count("CELL_STATUS_UNSUPPORTED")
    return {
        "footer": {
            "planned": runs,
            "accounted": runs,
            "cells_passed": green,
            "cells_failed": len(cells) - green - unsupported,
            "cells_unsupported": unsupported,
            "duration_us": "73000000",
            "exit_code": 0 if green + unsupported == len(cells) else 1,
            "rules": [
                {
                    "rule": rule,
                    "subject": subject,
                    "judged": judged,
                    "violated": violated,
                }
                for (rule, subject), (judged, violated) in sums.items()
            ],
        }
        | more
    }


def scenario_names(count: int) -> list[tuple[str, str]]:
    """Return (name, group) of that many scenarios, group by group."""
    groups = list(GROUPS)
    each = -(-count // len(groups))
    names = [(f"{group}_{GROUPS[group]}_{n}", group) for group in groups for n in range(each)]
    return names[:count]


def build_run(
    subjects: tuple[str, ...] = ("cpp", "go"),
    scenarios: int = 60,
    runs: int = 4,
    red: dict[tuple[int, str, str], int] | None = None,
    unsupported: set[tuple[int, str, str]] | None = None,
) -> list[Line]:
    """Return a complete run.

    `red` says how many of a cell's runs fail, `unsupported` which cells are; both by (index of the
    scenario, subject, direction).
    """
    red = red or {}
    unsupported = unsupported or set()
    lines_of_scenarios: list[Line] = []
    execs: list[Line] = []
    cells: list[Line] = []
    for index, (name, group) in enumerate(scenario_names(scenarios)):
        rule = f"{group}.rule.{index % 6}"
        lines_of_scenarios.append(scenario(name, group, [rule]))
        for subject in subjects:
            for direction in DIRECTIONS:
                key = (index, subject, direction)
                cell = cell_id(subject, direction, name)
                if key in unsupported:
                    cells.append(
                        cell_line(
                            *(subject, direction, name, group, [], []),
                            status="CELL_STATUS_UNSUPPORTED",
                            unsupported=True,
                            unsupported_reason="needs stable_conduit, which is not declared",
                        )
                    )
                    continue
                bad = red.get(key, 0)
                own = [
                    exec_line(cell, n, "VERDICT_FAIL" if n < bad else "VERDICT_PASS", rule)
                    for n in range(runs)
                ]
                execs += own
                cells.append(cell_line(subject, direction, name, group, own, [rule]))
    return [
        header(subjects, len(execs)),
        *lines_of_scenarios,
        *execs,
        *cells,
        footer(cells, len(execs)),
    ]


def to_jsonl(lines: Iterable[Line]) -> bytes:
    """Return the bytes of the run.jsonl of these lines."""
    return b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines)
