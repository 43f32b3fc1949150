"""The corpus of kept traces: records them, and judges them again.

    scripts/corpus check [NAME]...      judge again; nothing may be another than recorded
    scripts/corpus record [NAME]...     record those again that are not; --all: every one
    scripts/corpus list

`record` keeps a trace that is judged the same as ever: what it replaces is what a change of the
program has changed, and it says what. Exit: 0 ok, 1 something is another, 2 usage.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TRACES = HERE / "traces"
PROGRAM = ROOT / "build/harness/counterpart"


def recipes(names: list[str]) -> tuple[int, list[dict[str, Any]]]:
    """The seed, and the recipes of these names; of all, if there are none."""
    read = yaml.safe_load((HERE / "recipes.yaml").read_text())
    known = [recipe["name"] for recipe in read["traces"]]
    for name in names:
        if name not in known:
            sys.exit(f"corpus: there is no recipe {name}; scripts/corpus list shows them")
    wanted = [row for row in read["traces"] if not names or row["name"] in names]
    return read["seed"], wanted


def file_of(recipe: dict[str, Any]) -> Path:
    """Where its trace is kept."""
    return TRACES / f"{recipe['name']}.jsonl"


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """The program, from the root of the repository."""
    return subprocess.run(
        [PROGRAM, *words],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def subjects_of(recipe: dict[str, Any]) -> list[str]:
    """Options that put a mutant in place of the subject of the cell."""
    if "mutant" not in recipe:
        return []
    cell = recipe["cell"]
    subject = cell.removeprefix("lang_").split("_")[0]
    for row in yaml.safe_load((ROOT / "matrix/subjects.yaml").read_text())["subjects"]:
        if row["id"] == subject:
            command = [
                word.format(build=ROOT / "build", root=ROOT)
                for word in [*row["command"], "--mutant", recipe["mutant"]]
            ]
            others = ["--with-listed"] if "_server_" in cell else []
            return ["--subject", f"{subject}={' '.join(command)}", *others]
    sys.exit(f"corpus: {recipe['name']}: there is no subject {subject}")


def record(recipe: dict[str, Any], seed: int, folder: Path) -> Path:
    """Runs it; the trace. Ends the program if it is not what the recipe wants an example of."""
    out = folder / recipe["name"]
    words: list[str] = ["run", *subjects_of(recipe), "--keep-traces", "--jobs", "1"]
    if recipe.get("faults"):
        plan = folder / f"{recipe['name']}.yaml"
        plan.write_text(
            yaml.safe_dump({"cell": recipe["cell"], "seed": seed, "faults": recipe["faults"]})
        )
        words += ["--plan", str(plan)]
    else:
        words += [recipe["cell"], "--run-seed", str(seed)]
    ended = run(*words, "--out", str(out))
    traces = sorted((out / "traces").glob("*.jsonl")) if (out / "traces").exists() else []
    if len(traces) != 1:
        sys.exit(f"corpus: {recipe['name']}: no trace was kept\n{ended.stdout}{ended.stderr}")
    came_to = verdict_of(traces[0])
    wanted = (recipe.get("verdict", "pass"), recipe.get("rule", ""))
    if came_to != wanted:
        sys.exit(f"corpus: {recipe['name']} came to {came_to}, and the recipe wants {wanted}")
    return traces[0]


def verdict_of(trace: Path) -> tuple[str, str]:
    """Verdict and rule, in the words of the recipes."""
    footer = json.loads(trace.read_text().splitlines()[-1])["footer"]
    verdict = footer.get("verdict", "VERDICT_NONE")
    return verdict.removeprefix("VERDICT_").lower(), footer.get("rule", "")


def why_not(trace: Path) -> str:
    """What is another when it is judged again; "" if nothing is."""
    ended = run("replay", trace)
    return "" if ended.returncode == 0 else ended.stdout + ended.stderr


def check(wanted: list[dict[str, Any]]) -> int:
    """Every recipe has its trace, every trace its recipe, and all are judged the same again."""
    missing = [row["name"] for row in wanted if not file_of(row).exists()]
    _, every = recipes([])
    stray = {path.name for path in TRACES.glob("*")} - {file_of(row).name for row in every}
    for name in missing:
        print(f"{name}: is not recorded")
    for name in sorted(stray):
        print(f"{name}: has no recipe")
    ended = run("replay", *[file_of(row) for row in wanted if file_of(row).exists()])
    print(ended.stdout + ended.stderr, end="")
    return 1 if missing or stray or ended.returncode else 0


def renew(wanted: list[dict[str, Any]], seed: int, every: bool) -> int:
    """Records what is missing, or not judged the same any more, and says what has changed."""
    TRACES.mkdir(exist_ok=True)
    renewed = 0
    with tempfile.TemporaryDirectory(prefix="corpus.") as folder:
        for recipe in wanted:
            kept = file_of(recipe)
            changed = why_not(kept) if kept.exists() else ""
            if kept.exists() and not changed and not every:
                continue
            fresh = record(recipe, seed, Path(folder))
            renewed += 1
            if not kept.exists():
                print(f"{recipe['name']}: new, {', '.join(filter(None, verdict_of(fresh)))}")
            else:
                difference = run("trace", "diff", kept, fresh)
                print(f"{recipe['name']}: renewed")
                print("".join(f"  | {line}\n" for line in changed.splitlines()[1:]), end="")
                if difference.returncode:
                    print("".join(f"  {line}\n" for line in difference.stdout.splitlines()[2:]))
            shutil.copyfile(fresh, kept)
    print(f"{renewed} of {len(wanted)} traces recorded")
    return 0


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/corpus",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=["check", "record", "list"])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--all", action="store_true", help="record also what is as it was")
    options = parser.parse_args()
    seed, wanted = recipes(options.names)
    if options.what == "list":
        for row in wanted:
            print(f"{row['name']:45} {row.get('verdict', 'pass'):13} {row.get('rule', '')}")
        return 0
    if options.what == "check":
        return check(wanted)
    return renew(wanted, seed, options.all)


if __name__ == "__main__":
    sys.exit(main())
