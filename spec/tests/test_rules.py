"""The rule files parse, agree with their index, and hold every rule id that code refers to."""

from __future__ import annotations

import collections
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ROOT / "spec" / "rules"
USERS = ("harness", "subjects", "matrix", "reports", "scripts", "spec/proto", "spec/machines")
SKIPPED_FOLDERS = {"node_modules", "target", "out", "__pycache__", ".venv", ".gradle", ".build"}
SKIPPED_PREFIX = "build"
LARGEST_SOURCE = 1 << 20

# An id, and behind a plus its version; the first has none.
DEFINITION = re.compile(r"r\[([a-z][a-z0-9-]*(?:\.[a-z0-9-]+)+)(?:\+([2-9]|[1-9]\d+))?\]")
REFERENCE = re.compile(r"\br\[([a-z][a-z0-9-]*(?:\.[a-z0-9*-]+)+)(?:\+(\d+))?\]")
COMMENT = re.compile(r"//|#|/\*|^\s*\*|<!--|\"\"\"")
KEYWORD = re.compile(r"\b(MUST|SHOULD|MAY)\b")


def rule_files() -> list[pathlib.Path]:
    return sorted(p for p in RULES.glob("*.md") if p.name != "README.md")


def rules_of(path: pathlib.Path) -> list[tuple[str, str, int]]:
    """(id, paragraph, line) of each rule in a file."""
    lines = path.read_text(encoding="utf-8").split("\n")
    found = []
    for index, line in enumerate(lines):
        match = DEFINITION.fullmatch(line)
        if match:
            end = lines.index("", index + 1)
            found.append((match[1], "\n".join(lines[index + 1 : end]), index + 1))
    return found


def versions() -> dict[str, int]:
    """The version of each rule."""
    return {
        match[1]: int(match[2] or 1)
        for path in rule_files()
        for line in path.read_text(encoding="utf-8").split("\n")
        if (match := DEFINITION.fullmatch(line))
    }


def all_rules() -> dict[str, str]:
    return {rule: text for path in rule_files() for rule, text, _ in rules_of(path)}


def test_ids_are_unique():
    counts = collections.Counter(rule for p in rule_files() for rule, _, _ in rules_of(p))
    assert [rule for rule, n in counts.items() if n > 1] == []


@pytest.mark.parametrize("path", rule_files(), ids=lambda p: p.stem)
def test_each_rule_is_one_paragraph_that_demands_something(path: pathlib.Path):
    assert rules_of(path), "no rules"
    for rule, text, line in rules_of(path):
        where = f"{path.name}:{line} {rule}"
        assert text.strip(), f"{where}: no paragraph"
        assert KEYWORD.search(text), f"{where}: no MUST, SHOULD or MAY"
        assert text.rstrip().endswith("."), f"{where}: not a sentence"
        assert "r[" not in text, f"{where}: rule line inside a paragraph"


@pytest.mark.parametrize("path", rule_files(), ids=lambda p: p.stem)
def test_nothing_looks_like_a_rule_and_is_none(path: pathlib.Path):
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if line.lstrip().startswith("r["):
            assert DEFINITION.fullmatch(line), f"{path.name}:{number}: malformed rule line {line!r}"


def test_rules_name_only_rules_that_exist():
    known = all_rules()
    families = {rule.partition(".")[0] for rule in known}
    word = re.compile(rf"(?<![\w./-])((?:{'|'.join(sorted(families))})(?:\.[a-z0-9-]+)+)")
    for path in rule_files():
        for rule, text, _ in rules_of(path):
            for match in word.finditer(text):
                if match[1].endswith((".md", ".yaml", ".proto")) or ".v1" in match[1]:
                    continue
                assert match[1] in known, f"{rule} refers to {match[1]}"


def test_index_lists_every_rule_with_how_it_is_observed():
    index: dict[str, str] = {}
    for line in (RULES / "README.md").read_text(encoding="utf-8").split("\n"):
        row = re.fullmatch(r"\| `([a-z0-9.-]+)` +\| ([WCJ](?: [WCJ])*) +\|", line)
        if row:
            assert row[1] not in index, row[1]
            index[row[1]] = row[2]
    assert sorted(index) == sorted(all_rules())


def test_an_exclusion_follows_a_rule_and_gives_a_reason():
    for path in rule_files():
        before = None
        for paragraph in re.split(r"\n{2,}", path.read_text(encoding="utf-8")):
            if "_Excluded:_" in paragraph:
                assert re.fullmatch(r"_Excluded:_ [^_]{20,}\.\n?", paragraph), paragraph
                assert before is not None and DEFINITION.match(before), paragraph
            else:
                before = paragraph


def _sources():
    for user in USERS:
        for path in sorted((ROOT / user).rglob("*")):
            parts = path.relative_to(ROOT).parts[:-1]
            if any(p in SKIPPED_FOLDERS or p.startswith(SKIPPED_PREFIX) for p in parts):
                continue
            if path.is_file() and path.stat().st_size <= LARGEST_SOURCE:
                try:
                    yield path, path.read_text(encoding="utf-8")
                except UnicodeDecodeError:
                    continue


def unknown_references(text: str, known: dict[str, int]) -> list[tuple[int, str]]:
    """(line, id) of each `r[id]` that names no rule, or another version than there is.

    Plain indexing such as `r[item.key]` is told from a reference by its first word, which is that
    of no family, and by standing outside a comment.
    """
    families = {rule.partition(".")[0] for rule in known}
    found = []
    for number, line in enumerate(text.split("\n"), start=1):
        for match in REFERENCE.finditer(line):
            is_reference = match[1].partition(".")[0] in families or COMMENT.search(
                line[: match.start()]
            )
            if is_reference and known.get(match[1]) != int(match[2] or 1):
                found.append((number, match[0][2:-1]))
    return found


def test_every_id_named_in_code_exists():
    known = versions()
    assert set(known) == set(all_rules())
    unknown = [
        f"{path.relative_to(ROOT)}:{line}: r[{rule}]"
        for path, text in _sources()
        for line, rule in unknown_references(text, known)
    ]
    assert unknown == [], "ids that no file in spec/rules defines so:\n" + "\n".join(unknown)


def test_unknown_references_are_found_and_indexing_is_not():
    known = {"link.order": 1, "retry.gc.live": 1}
    assert unknown_references("// r[link.order]", known) == []
    assert unknown_references("x = r[item.key]", known) == []
    assert unknown_references("y = r[0]; // r[link.oder]", known) == [(1, "link.oder")]
    assert unknown_references("a\n# r[retry.gc.*]", known) == [(2, "retry.gc.*")]
    assert unknown_references("// r[lnik.order]", known) == [(1, "lnik.order")]


def test_whoever_changes_a_rule_is_led_to_what_enforces_it():
    known = {"link.order": 1, "retry.seal": 2}
    assert unknown_references("// r[retry.seal+2] r[link.order]", known) == []
    assert unknown_references("// r[retry.seal]", known) == [(1, "retry.seal")]
    assert unknown_references("// r[retry.seal+3]", known) == [(1, "retry.seal+3")]
    assert unknown_references("// r[link.order+2]", known) == [(1, "link.order+2")]
    assert DEFINITION.fullmatch("r[retry.seal+2]")
    assert not DEFINITION.fullmatch("r[retry.seal+1]")
