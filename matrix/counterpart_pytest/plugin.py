"""What pytest calls: one item per cell of a subjects.yaml, run by `counterpart serve`.

Node ids end with the cell id: `matrix/subjects.yaml::lang_cpp_transport_tcp::direction_…::…`.
The items that are selected are run in one go, and each takes its result from the stream. Under
xdist every worker has a program of its own; items are dealt out by subject and direction, and a
worker runs only those it was dealt.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .outcome import CellOutcome, Results
from .program import ROOT, Program, ProgramError
from .verdict_text import red_text

DEFAULT_PROGRAM = ROOT / "build" / "harness" / "counterpart"
DEALT_BY_SCOPE = "counterpart_dealt_by_scope"
RUNNERS = pytest.StashKey[dict[Path, "MatrixRunner"]]()


class RedCellError(Exception):
    """A cell is red; the text is the whole story."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the matrix."""
    group = parser.getgroup("counterpart", "conformance matrix")
    group.addoption(
        "--counterpart",
        dest="counterpart_program",
        metavar="PROGRAM",
        help="the program that runs the cells (default: build/harness/counterpart)",
    )
    group.addoption(
        "--runs",
        dest="counterpart_runs",
        type=_positive,
        default=1,
        metavar="N",
        help="runs of each cell (default: 1)",
    )
    group.addoption(
        "--counterpart-seed",
        dest="counterpart_seed",
        type=int,
        default=0,
        metavar="SEED",
        help="seed of the run (default: drawn, and reported)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Say at once when the program that was named does not exist."""
    named = config.getoption("counterpart_program", None)
    if named and not Path(named).is_file():
        raise pytest.UsageError(f"--counterpart {named}: there is no such program")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Take up subjects.yaml."""
    if file_path.name == "subjects.yaml":
        return SubjectsFile.from_parent(parent, path=file_path)
    return None


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End the programs, and the runs that still go on."""
    for runner in session.config.stash.get(RUNNERS, {}).values():
        runner.close()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker (xdist calls this on the controller) how items will be dealt out."""
    node.workerinput[DEALT_BY_SCOPE] = node.config.getoption("dist") in ("load", "loadscope")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Deal out items by scope, where xdist's default would deal them out one by one.

    A scope is all but the last component of a node id: subject, transport and direction.
    """
    if config.getoption("dist") != "load":
        return None
    from xdist.scheduler import LoadScopeScheduling

    return LoadScopeScheduling(config, log)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


class MatrixRunner:
    """The program of one subjects file, and the runs asked of it so far."""

    def __init__(self, config: pytest.Config, subjects: Path) -> None:
        named = config.getoption("counterpart_program", None)
        self._config = config
        self._program = Program(Path(named or DEFAULT_PROGRAM).absolute(), subjects)
        self._runs = config.getoption("counterpart_runs", 1)
        self._seed = config.getoption("counterpart_seed", 0)
        self._results: dict[str, Results] = {}
        self.cells = self._program.list_cells()

    def result_of(self, item: CellItem) -> tuple[CellOutcome, dict[str, str]]:
        """Give the outcome of an item and the text of the rules; runs what has to run."""
        if item.cell not in self._results:
            cells = self._batch_of(item)
            results = Results(self._program.run(cells, self._runs, self._seed), self._runs)
            self._results.update(dict.fromkeys(cells, results))
        results = self._results[item.cell]
        return results.wait_for(item.cell), results.rules

    def close(self) -> None:
        """Stop everything."""
        for results in set(self._results.values()):
            results.stop()
        self._program.close()

    def _batch_of(self, item: CellItem) -> list[str]:
        """Choose what to run with this item: all that this process is sure to be asked for."""
        selected = [
            other.cell
            for other in item.session.items
            if isinstance(other, CellItem)
            and other.path == item.path
            and other.cell not in self._results
        ]
        worker = getattr(self._config, "workerinput", None)
        if worker is None:
            return selected
        if worker.get(DEALT_BY_SCOPE):
            scope = item.cell.rpartition("::")[0]
            return [cell for cell in selected if cell.rpartition("::")[0] == scope]
        return [item.cell]


class SubjectsFile(pytest.File):
    """A subjects.yaml: collects a node per first component of its cell ids."""

    def collect(self) -> Iterator[pytest.Collector]:
        """Ask the program for the cells."""
        runners = self.config.stash.setdefault(RUNNERS, {})
        try:
            if self.path not in runners:
                runners[self.path] = MatrixRunner(self.config, self.path)
        except ProgramError as error:
            raise self.CollectError(f"counterpart: {error}") from error
        runner = runners[self.path]
        for name in sorted({cell.id.split("::")[0] for cell in runner.cells}):
            yield CellGroup.from_parent(self, name=name, prefix=name, runner=runner)


class CellGroup(pytest.Collector):
    """The cells whose ids begin with `prefix`, a list of whole components."""

    def __init__(self, prefix: str, runner: MatrixRunner, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._prefix = prefix
        self._runner = runner

    def collect(self) -> Iterator[pytest.Item | pytest.Collector]:
        """Give the groups and items one component further on."""
        depth = len(self._prefix.split("::"))
        groups: set[str] = set()
        for cell in self._runner.cells:
            if not cell.id.startswith(self._prefix + "::"):
                continue
            components = cell.id.split("::")
            name = components[depth]
            if len(components) == depth + 1:
                yield CellItem.from_parent(self, name=name, cell=cell.id, runner=self._runner)
            elif name not in groups:
                groups.add(name)
                prefix = f"{self._prefix}::{name}"
                yield CellGroup.from_parent(self, name=name, prefix=prefix, runner=self._runner)


class CellItem(pytest.Item):
    """One cell. Passes if every run did; skips if it is unsupported."""

    def __init__(self, cell: str, runner: MatrixRunner, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.cell = cell
        self._runner = runner

    def runtest(self) -> None:
        """Take the result of the cell."""
        outcome, rules = self._runner.result_of(self)
        if outcome.unsupported is not None:
            pytest.skip(outcome.unsupported)
        red = outcome.red
        first = (red or outcome.counted)[0]
        self.user_properties += [
            ("rule", first.rule if red else ""),
            ("seed", str(first.seed)),
            ("k", str(len(red))),
            ("n", str(len(outcome.counted))),
        ]
        if red:
            raise RedCellError(red_text(outcome, rules))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show the story, and no Python."""
        if isinstance(excinfo.value, RedCellError):
            return str(excinfo.value)
        if isinstance(excinfo.value, ProgramError):
            return f"HARNESS ERROR: {excinfo.value}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Head a failure with the whole id."""
        return self.path, None, self.cell
