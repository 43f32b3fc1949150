"""Collects the results of cells out of the lines of one run, as they arrive.

A thread reads the stream; wait_for() blocks until a cell is decided. A cell is decided when all of
its runs are in, when it is known to be unsupported, or when its closing line is there. When the
stream ends or breaks, every wait ends: nothing here can hang while the program does not.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .program import ProgramError

if TYPE_CHECKING:
    from counterpart.report.v1 import report_pb2

# Of report.proto; numbers, so that importing this needs no generated module.
VERDICT_PASS = 1
VERDICT_INCONCLUSIVE = 2
VERDICT_FAIL = 3
VERDICT_ERROR = 4
ENDING_UNSUPPORTED = 1
ENDING_INTERRUPTED = 6


@dataclass
class CellOutcome:
    """What is known of one cell."""

    execs: list[report_pb2.Exec] = field(default_factory=list)
    cell: report_pb2.Cell | None = None

    @property
    def unsupported(self) -> str | None:
        """The reason, if the subject does not declare what the cell needs."""
        for one in self.execs:
            if one.ending == ENDING_UNSUPPORTED:
                return one.reason or "a needed capability is not declared"
        if self.cell is not None and self.cell.unsupported:
            return self.cell.unsupported_reason or "a needed capability is not declared"
        return None

    @property
    def counted(self) -> list[report_pb2.Exec]:
        """Runs that say something of the subject."""
        return [one for one in self.execs if one.ending != ENDING_INTERRUPTED]

    @property
    def red(self) -> list[report_pb2.Exec]:
        """Runs that did not pass, worst first, then in order."""
        red = [one for one in self.counted if one.verdict != VERDICT_PASS]
        return sorted(red, key=lambda one: (-one.verdict, one.ordinal))


class Results:
    """The outcomes of the cells of one run."""

    def __init__(self, stream: Iterable[report_pb2.Line], runs: int) -> None:
        """Start to read `stream`, which brings `runs` runs of each cell."""
        self._stream = stream
        self._runs = runs
        self._changed = threading.Condition()
        self._outcomes: dict[str, CellOutcome] = {}
        self._ended: str | None = None
        self.rules: dict[str, str] = {}
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def wait_for(self, cell: str) -> CellOutcome:
        """Wait for the outcome of a cell. Raises ProgramError if it cannot come any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._decided(cell) or self._ended is not None)
            if self._decided(cell):
                return self._outcomes[cell]
            raise ProgramError(f"no result for {cell}: {self._ended}")

    def stop(self) -> None:
        """Stop reading, and the run if it still goes on."""
        cancel = getattr(self._stream, "cancel", None)
        if cancel is not None:
            cancel()
        self._thread.join()

    def _decided(self, cell: str) -> bool:
        outcome = self._outcomes.get(cell)
        return outcome is not None and (
            len(outcome.counted) >= self._runs
            or outcome.unsupported is not None
            or (outcome.cell is not None and bool(outcome.counted))
        )

    def _read(self) -> None:
        ended = "the run ended without its footer: it is incomplete"
        try:
            for line in self._stream:
                with self._changed:
                    kind = line.WhichOneof("kind")
                    if kind == "header":
                        self.rules = {rule.id: rule.text for rule in line.header.rules}
                    elif kind == "exec":
                        self._outcome(line.exec.cell).execs.append(line.exec)
                    elif kind == "cell":
                        self._outcome(line.cell.id).cell = line.cell
                    elif kind == "footer":
                        footer = line.footer
                        ended = (
                            f"the run is over, {footer.accounted} of {footer.planned} runs are "
                            f"accounted for{', interrupted' if footer.interrupted else ''}"
                        )
                    self._changed.notify_all()
        except ProgramError as error:
            ended = str(error)
        except Exception as error:
            ended = f"the reader failed: {error!r}"
        finally:
            with self._changed:
                self._ended = ended
                self._changed.notify_all()

    def _outcome(self, cell: str) -> CellOutcome:
        return self._outcomes.setdefault(cell, CellOutcome())
