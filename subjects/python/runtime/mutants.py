"""The catalogue of faults this runtime can be started with, to prove that they are found.

A fault is a name here and an `active("name")` at the place it changes. What each does wrong is said
in the catalogue of mutants.
"""

from __future__ import annotations

from counterpart.control.v1.control_pb2 import ControlRequest

CATALOGUE: dict[str, str] = {  # name → the rule it breaks
    "accepts_any_version": "transport.prologue.no-fallback",
    "accepts_item_after_close": "rpc.channel.data-after-close",
    "accepts_over_credit": "rpc.flow-control.credit.exceeded",
    "accepts_unknown_resume_key": "session.resume.unknown",
    "answers_another_request": "control.stdio",
    "answers_before_the_outcome_is_stored": "retry.policy.persist.durable-seal",
    "attempts_any_stream_again": "retry.channel.detach",
    "cancel_leaves_it_live": "retry.cancel.volatile",
    "double_response": "rpc.response.one-per-request",
    "drops_items_before_binding": "rpc.channel.binding",
    "ignores_reset": "rpc.channel.reset",
    "ignores_unasked_pong": "session.keepalive",
    "keeps_one_entry_per_key": "rpc.metadata.duplicates",
    "names_no_origin_in_a_new_session": "retry.session-lost.policy",
    "over_credit": "rpc.flow-control.credit",
    "presents_the_old_resume_key": "session.handshake.resume",
    "registers_persist_streams": "retry.channel.persist-forbidden",
    "releases_persist_calls_at_a_cancel": "retry.cancel.persist",
    "reruns_streams_that_are_not_idem": "retry.channel.recovery.non-idem",
    "runs_live_duplicate": "retry.duplicate.live.attach",
    "seals_what_crashed": "retry.seal.only-return",
    "stable_delivers_duplicates": "stable.seq.monotonic",
    "stable_never_acknowledges": "stable.seq",
    "stable_replays_nothing": "stable.reconnect.server-replay",
    "starts_handlers_before_their_record": "retry.policy.persist.write-ahead",
    "takes_aborted_for_the_end": "rpc.channel.aborted",
    "takes_an_open_record_for_none": "retry.policy.persist.restart",
    "takes_unknown_errors_for_retryable": "rpc.error.retryable",
    "unknown_method_as_invalid_payload": "rpc.unknown-method",
    "waits_for_a_limit_of_zero": "session.connection-settings",
    "wrong_parity": "rpc.request.id-allocation",
    "wrong_pong": "session.keepalive",
}

_active = ""


def activate(name: str) -> None:
    """Switch one fault on for the life of the process, none if it is "". KeyError: no such one."""
    global _active
    if name and name not in CATALOGUE:
        raise KeyError(name)
    _active = name


def active(name: str) -> bool:
    """Is this the fault that is switched on?"""
    return _active == name


def id_of_reply(request: ControlRequest) -> int:
    """Over stdio: the request's own, or another one where that is the fault."""
    return request.id + (request.HasField("status") and active("answers_another_request"))
