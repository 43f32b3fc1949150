"""Words a red cell for a terminal: verdict, rule, timeline, the subject's last words, replay."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from .outcome import VERDICT_ERROR, VERDICT_FAIL, VERDICT_INCONCLUSIVE, CellOutcome

if TYPE_CHECKING:
    from counterpart.report.v1 import report_pb2

TIMELINE_LINES = 40
STDERR_LINES = 20
VERDICTS = {
    VERDICT_FAIL: "FAIL",
    VERDICT_INCONCLUSIVE: "INCONCLUSIVE",
    VERDICT_ERROR: "HARNESS ERROR",
}
SIDES = {1: "->", 2: "<-", 3: " *"}  # harness, subject, note


def printable(text: str) -> str:
    """Without control characters: subjects choose this text, and terminals obey it."""
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)


def red_text(outcome: CellOutcome, rules: dict[str, str]) -> str:
    """Everything one needs to start looking, most important first."""
    red = outcome.red
    first = red[0]
    parts = [_headline(first, len(red), len(outcome.counted))]
    if first.rule:
        parts.append(_section(f"rule r[{first.rule}]", rules.get(first.rule, "(text not known)")))
    findings = [
        f"{f'r[{finding.rule}] ' if finding.rule else ''}{finding.text}"
        for finding in first.findings
        if finding.text != first.reason
    ]
    if findings:
        parts.append(_section("findings", "\n".join(findings)))
    if len(red) > 1:
        ways = Counter(one.signature or one.reason for one in red)
        lines = [f"{count} x {signature}" for signature, count in ways.most_common(10)]
        parts.append(_section("ways to fail", "\n".join(lines)))
    if first.evidence:
        parts.append(_section("evidence", first.evidence))
    faults = [
        f"{fault.how} at {fault.at} #{fault.ordinal}: "
        + (f"fired, {fault.where}" if fault.fired else "did not fire")
        for fault in first.faults
    ]
    if faults:
        parts.append(_section("faults", "\n".join(faults)))
    if first.timeline:
        parts.append(_section(f"timeline of {first.id}", _timeline(first)))
    if first.subject_stderr:
        lines = first.subject_stderr.rstrip("\n").splitlines()[-STDERR_LINES:]
        parts.append(_section("the subject's stderr, at its end", "\n".join(lines)))
    if first.trace:
        parts.append(f"trace:  {first.trace}")
    if first.replay:
        parts.append(f"replay: {first.replay}")
    if first.redrive:
        parts.append(f"again:  {first.redrive}")
    return printable("\n".join(parts))


def _headline(first: report_pb2.Exec, red: int, counted: int) -> str:
    how_often = f" in {red} of {counted} runs{' (flaky)' if red < counted else ''}"
    rule = f" r[{first.rule}]" if first.rule else ""
    exit_status = f" ({first.exit_status})" if first.exit_status else ""
    verdict = VERDICTS.get(first.verdict, "NO VERDICT")
    reason = first.reason or "no reason was given"
    return f"{verdict}{rule}{how_often if counted > 1 else ''}: {reason}{exit_status}"


def _section(title: str, text: str) -> str:
    return f"{title}:\n" + "\n".join(f"    {line}" for line in text.splitlines())


def _timeline(one: report_pb2.Exec) -> str:
    entries = one.timeline[-TIMELINE_LINES:]
    lines = [
        f"{entry.time_us / 1000:9.3f} ms {SIDES.get(entry.side, '  ')} "
        f"{entry.edge + '  ' if entry.edge else ''}{entry.text or entry.label or entry.kind}"
        for entry in entries
    ]
    left_out = len(one.timeline) - len(entries)
    if left_out or one.timeline_cut:
        lines.insert(0, f"({left_out or 'some'} earlier entries left out)")
    return "\n".join(lines)
