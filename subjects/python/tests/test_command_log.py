"""The life of a command: accepted once, run once, told as recorded, refused when proven unknown."""

import asyncio
from collections.abc import Coroutine

import pytest
from counterpart.control.v1 import control_pb2 as pb

from runtime.clock import Timers
from runtime.command_log import KEPT, CommandLog, Work
from runtime.journal import Journal, Transition


class Bench:
    """A log whose commands count how often they run: that is the session id they tell."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.log = CommandLog(self.journal, Timers())
        self.runs = 0

    def prepare(self) -> Work:
        async def work() -> pb.Outcome:
            self.runs += 1
            return pb.Outcome(connected=pb.Connected(session_id=f"run {self.runs}".encode()))

        return work

    async def execute(self, command: int, send: int = 1, gate: str = "", hold: str = "") -> str:
        """What was told of it: a run, the reason of its failure, or of its refusal."""
        response = await self.log.execute(
            pb.ExecuteRequest(
                command_id=command,
                send=send,
                scope="scope",
                hold_at=f"HOLD_AT_{hold.upper()}" if hold else 0,
                release=pb.Release(gate=gate),
            ),
            self.prepare,
        )
        if response.HasField("refusal"):
            return pb.RefusalReason.Name(response.refusal.reason).removeprefix("REFUSAL_REASON_")
        return told(response.outcome)

    def status(self, command: int, highest_send: int) -> tuple[str, str]:
        request = pb.StatusRequest(command_id=command, highest_send=highest_send)
        response = self.log.status(request)
        assert response.epoch == self.journal.epoch
        assert response.watermark == self.log.watermark
        state = pb.CommandState.Name(response.state).removeprefix("COMMAND_STATE_")
        return state, told(response.outcome)

    def states(self) -> list[str]:
        events, _ = self.journal.read("scope", 0)
        return [event.body.to_state for event in events if isinstance(event.body, Transition)]


def told(outcome: pb.Outcome) -> str:
    if outcome.HasField("failed"):
        return pb.FailureReason.Name(outcome.failed.reason).removeprefix("FAILURE_REASON_")
    return outcome.connected.session_id.decode()


def run(scenario: Coroutine) -> None:
    asyncio.run(scenario)


async def turn() -> None:
    """Let every task run until it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_known_command_runs_once() -> None:
    async def scenario() -> None:
        bench = Bench()
        assert await bench.execute(1) == "run 1"
        assert await bench.execute(1, 2) == "run 1"
        assert bench.runs == 1
        assert bench.states() == ["Accepted", "Started", "Completed"]
        assert bench.status(1, 9) == ("COMPLETED", "run 1")
        assert await bench.execute(1, 1, "other") == "CONFLICT"

    run(scenario())


def test_a_command_outlives_whoever_asked() -> None:
    async def scenario() -> None:
        bench = Bench()
        asked = asyncio.ensure_future(bench.execute(1))
        await asyncio.sleep(0)
        asked.cancel()
        assert await bench.execute(1, 2) == "run 1"

    run(scenario())


@pytest.mark.parametrize(
    ("hold", "state", "runs"),
    [
        ("accepted", "ACCEPTED", 0),
        ("started", "STARTED", 0),
        ("effect", "STARTED", 1),
        ("recorded", "COMPLETED", 1),
    ],
)
def test_holding_and_dropping(hold: str, state: str, runs: int) -> None:
    async def scenario() -> None:
        bench = Bench()
        asked = asyncio.ensure_future(bench.execute(1, 1, "", hold))
        await turn()
        assert bench.status(1, 1)[0] == state
        assert bench.runs == runs
        if hold == "recorded":
            assert await bench.execute(1, 2, "", hold) == "run 1"
        assert not asked.done()
        bench.log.drop("scope")
        assert await asked == ("run 1" if hold == "recorded" else "DROPPED")
        assert bench.states()[-1] == ("Completed" if hold == "recorded" else "Failed")

    run(scenario())


def test_status_tombstones_sends_up_to_the_ordinal() -> None:
    async def scenario() -> None:
        bench = Bench()
        assert bench.status(1, 2) == ("NOT_ACCEPTED", "")
        assert await bench.execute(1, 1) == "TOMBSTONED"
        assert await bench.execute(1, 2) == "TOMBSTONED"
        assert await bench.execute(1, 3) == "run 1"
        tombstone, _ = bench.journal.read("", 0)
        assert [event.body.to_state for event in tombstone][:1] == ["Tombstoned"]

    run(scenario())


def test_finished_commands_are_evicted_in_order() -> None:
    async def scenario() -> None:
        bench = Bench()
        for command in range(1, KEPT + 3):
            await bench.execute(command)
        assert bench.log.watermark == 2
        assert bench.status(2, 1) == ("EVICTED", "")
        assert await bench.execute(2) == "EVICTED"
        assert bench.status(3, 1)[0] == "COMPLETED"

    run(scenario())


def test_an_unfinished_command_is_never_evicted() -> None:
    async def scenario() -> None:
        bench = Bench()
        held = asyncio.ensure_future(bench.execute(1, 1, "", "started"))
        await turn()
        for command in range(2, KEPT + 10):
            await bench.execute(command)
        assert bench.log.watermark == 0
        assert bench.status(1, 1)[0] == "STARTED"
        bench.log.drop("scope")
        await held

    run(scenario())


def test_settling_counts_what_was_asked_and_answered() -> None:
    async def scenario() -> None:
        bench = Bench()
        held = asyncio.ensure_future(bench.execute(1, 1, "", "started"))
        await turn()
        assert await bench.execute(1, 1, "other") == "CONFLICT"
        settled = await bench.log.settle()
        assert (settled.accepted, settled.answered) == (2, 1)
        assert settled.journal_seq == bench.journal.seq
        assert settled.runnable == 0
        bench.log.drop("scope")
        await held
        assert (await bench.log.settle()).answered == 2

    run(scenario())
