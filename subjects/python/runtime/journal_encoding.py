"""The journal as the messages that the control plane has for it: same names, enums by name."""

from __future__ import annotations

from counterpart.control.v1 import control_pb2 as pb

from runtime.journal import Event, Journal, Pattern


def read(journal: Journal, request: pb.JournalRequest) -> pb.JournalResponse:
    """The events that are asked for."""
    events, gap = journal.read(request.scope, request.after_seq)
    return pb.JournalResponse(epoch=journal.epoch, events=map(_event, events), gap=gap)


async def watch(journal: Journal, scope: str, wanted: pb.Await) -> None:
    """Return once enough events of the scope, past ones included, are as wanted."""
    values = {field.name: value for field, value in wanted.ListFields()}
    count = values.pop("count", 1)
    if wanted.machine:
        values["machine"] = pb.Machine.Name(wanted.machine).removeprefix("MACHINE_").lower()
    await journal.watch(scope, count, Pattern(**values))


def _event(event: Event) -> pb.JournalEvent:
    body, name = event.body, type(event.body).__name__
    values = {slot: getattr(body, slot) for slot in body.__slots__}  # flat: asdict copies deep
    if name == "Transition":
        values["machine"] = pb.Machine.Value(f"MACHINE_{values['machine'].upper()}")
    elif name == "Handler":
        values["event"] = pb.HandlerEvent.Value(f"HANDLER_EVENT_{values['event'].upper()}")
    kind = "planned_delay" if name == "PlannedDelay" else name.lower()
    said = pb.JournalEvent(**{kind: getattr(pb, name)(**values)})
    said.seq, said.session_id, said.generation = event.seq, event.session_id, event.generation
    return said
