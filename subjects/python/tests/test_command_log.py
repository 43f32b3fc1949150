"""The life of a command: accepted once, run once, told as recorded, refused when proven unknown."""

import asyncio
from collections.abc import Coroutine

import pytest

from runtime.command_log import KEPT, CommandLog, NotAccepted, Run
from runtime.journal import Journal, Transition


class Bench:
    """A log whose commands count how often they run."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.log = CommandLog(self.journal)
        self.runs = 0

    def prepare(self) -> Run:
        async def run() -> tuple[bool, str]:
            self.runs += 1
            return True, f"outcome {self.runs}"

        return run

    async def execute(self, command: int, send: int = 1, payload: bytes = b"", hold: str = ""):
        return await self.log.execute(command, send, "scope", payload, hold, self.prepare)

    async def refusal(self, *arguments: object) -> str:
        with pytest.raises(NotAccepted) as caught:
            await self.execute(*arguments)
        return caught.value.reason

    def states(self) -> list[str]:
        events, _ = self.journal.read("scope", 0)
        return [event.body.to_state for event in events if isinstance(event.body, Transition)]


def run(scenario: Coroutine) -> None:
    asyncio.run(scenario)


async def turn() -> None:
    """Let every task run until it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_known_command_runs_once() -> None:
    async def scenario() -> None:
        bench = Bench()
        assert await bench.execute(1) == "outcome 1"
        assert await bench.execute(1, 2) == "outcome 1"
        assert bench.runs == 1
        assert bench.states() == ["Accepted", "Started", "Completed"]
        assert bench.log.status(1, 9) == ("Completed", "outcome 1")
        assert await bench.refusal(1, 1, b"other") == "CONFLICT"

    run(scenario())


def test_a_command_outlives_whoever_asked() -> None:
    async def scenario() -> None:
        bench = Bench()
        asked = asyncio.ensure_future(bench.execute(1))
        await asyncio.sleep(0)
        asked.cancel()
        assert await bench.execute(1, 2) == "outcome 1"

    run(scenario())


@pytest.mark.parametrize(
    ("hold", "state", "runs"),
    [
        ("accepted", "Accepted", 0),
        ("started", "Started", 0),
        ("effect", "Started", 1),
        ("recorded", "Completed", 1),
    ],
)
def test_holding_and_dropping(hold: str, state: str, runs: int) -> None:
    async def scenario() -> None:
        bench = Bench()
        asked = asyncio.ensure_future(bench.execute(1, 1, b"", hold))
        await turn()
        assert bench.log.status(1, 1)[0] == state
        assert bench.runs == runs
        if hold == "recorded":
            assert await bench.execute(1, 2, b"", hold) == "outcome 1"
        assert not asked.done()
        bench.log.drop("scope", "dropped")
        assert await asked == ("outcome 1" if hold == "recorded" else "dropped")
        assert bench.states()[-1] == ("Completed" if hold == "recorded" else "Failed")

    run(scenario())


def test_status_tombstones_sends_up_to_the_ordinal() -> None:
    async def scenario() -> None:
        bench = Bench()
        assert bench.log.status(1, 2) == ("NotAccepted", None)
        assert await bench.refusal(1, 1) == "TOMBSTONED"
        assert await bench.refusal(1, 2) == "TOMBSTONED"
        assert await bench.execute(1, 3) == "outcome 1"
        tombstone, _ = bench.journal.read("", 0)
        assert [event.body.to_state for event in tombstone][:1] == ["Tombstoned"]

    run(scenario())


def test_finished_commands_are_evicted_in_order() -> None:
    async def scenario() -> None:
        bench = Bench()
        for command in range(1, KEPT + 3):
            await bench.execute(command)
        assert bench.log.watermark == 2
        assert bench.log.status(2, 1) == ("Evicted", None)
        assert await bench.refusal(2) == "EVICTED"
        assert bench.log.status(3, 1)[0] == "Completed"

    run(scenario())


def test_an_unfinished_command_is_never_evicted() -> None:
    async def scenario() -> None:
        bench = Bench()
        held = asyncio.ensure_future(bench.execute(1, 1, b"", "started"))
        await turn()
        for command in range(2, KEPT + 10):
            await bench.execute(command)
        assert bench.log.watermark == 0
        assert bench.log.status(1, 1)[0] == "Started"
        bench.log.drop("scope", "dropped")
        await held

    run(scenario())
