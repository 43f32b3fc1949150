"""Which virtual connections there are, what may be said on them, and what a resume leaves."""

import pytest
from counterpart.wire.v1 import wire_pb2 as pb

from runtime.connection_table import ConnectionTable
from runtime.ids import Ids
from runtime.wire import Violation


def table(own_parity: int = 0) -> ConnectionTable:
    fresh = ConnectionTable()
    fresh.ids.own_parity = own_parity
    return fresh


@pytest.mark.parametrize(("parity", "expected"), [(1, [1, 3, 5]), (0, [2, 4, 6])])
def test_ids_are_of_the_parity_of_the_session_and_never_used_again(parity, expected):
    connections = table(parity)
    opened = []
    for event in ("accepted", "rejected", "lost"):
        opened.append(connections.open())
        assert connections.step(opened[-1], event)
    assert opened == expected


@pytest.mark.parametrize("used", [[0], [2], [3, 3], [3, 1]])
def test_an_id_of_the_counterpart_is_new_and_of_its_parity(used):
    connections = table(own_parity=0)
    for before in used[:-1]:
        connections.announced(before)
    with pytest.raises(Violation) as caught:
        connections.announced(used[-1])
    assert caught.value.rule == "connection.open"
    assert caught.value.code == pb.PROTOCOL_ERROR_CODE_BAD_CONNECTION


def test_one_close_and_its_echo():
    connections = table()
    connections.announced(1)
    connections.accept(1)
    assert connections.step(1, "close_sent")
    assert connections.state(1) == "Closing"
    assert not connections.step(1, "close_sent")
    assert connections.step(1, "close_came")
    assert connections.state(1) == "Closed"
    assert not connections.step(1, "close_came")
    assert connections.refuse(1, "request").rule == "connection.close.echo"


def test_what_nobody_opened_is_unknown():
    connections = table()
    opening = connections.open()
    assert connections.refuse(9, "request").rule == "connection.unknown"
    assert connections.refuse(opening, "request").rule == "connection.open"
    assert not connections.step(9, "close_came")
    assert not connections.step(opening, "close_came")


def test_only_what_both_close_makes_room():
    connections = table()
    for theirs in (1, 3):
        connections.announced(theirs)
        connections.accept(theirs)
    connections.step(connections.open(), "accepted")
    assert connections.accepted == 2
    connections.step(1, "close_sent")
    assert connections.accepted == 2
    connections.step(1, "close_came")
    assert connections.accepted == 1


def test_a_resume_leaves_what_both_list():
    connections = table()
    for theirs in (1, 3, 5, 7):
        connections.announced(theirs)
        connections.accept(theirs)
    pending = connections.open()
    connections.step(5, "close_sent")  # unheard: the counterpart still lists it
    connections.step(7, "close_sent")
    assert connections.those("Open") == [1, 3]
    assert connections.lost([1, 5, pending]) == [pending, 3, 7]


@pytest.mark.parametrize("own_parity", [0, 1])
def test_ids_on_a_connection_are_of_the_parity_asked_for(own_parity):
    ids = Ids()
    ids.own_parity = own_parity
    minted = []
    for _ in range(3):
        minted.append(ids.peek())
        ids.burn(minted[-1])
    assert minted == [2 - own_parity, 4 - own_parity, 6 - own_parity]
    theirs = 1 + own_parity
    ids.see(theirs, 7, "rule", "request")
    for wrong in (0, theirs, minted[0]):
        with pytest.raises(Violation):
            ids.see(wrong, 7, "rule", "request")
