"""What a process finds of persist operations of another.  r[retry.policy.persist.restart]"""

import os
import signal

import pytest
from counterpart.testbed.v1 import testbed_pb2

from runtime.operation_store import OperationStore, Stored, digest_of
from runtime.service import forbidden_among, methods_of

KEY = (b"\0\xff" + b"s" * 14, (1 << 64) - 1)


@pytest.fixture(name="killed_after")
def fixture_killed_after(tmp_path):
    """Another process works on the store, and is killed right behind."""

    def killed_after(act):
        child = os.fork()
        if child == 0:
            act(OperationStore(str(tmp_path)))
            os.kill(os.getpid(), signal.SIGKILL)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
        return OperationStore(str(tmp_path))

    return killed_after


def test_nothing_is_known_of_what_was_never_admitted(killed_after):
    assert killed_after(lambda store: store.seal(KEY, b"of nothing")).find(KEY) is None


def test_an_admission_survives_a_kill(killed_after):
    admitted = Stored("a.B/C", digest_of(b"x"), 1)
    store = killed_after(lambda store: store.admit(KEY, admitted))
    assert store.find(KEY) == admitted
    assert store.find((b"t" * 16, KEY[1])) is None
    assert digest_of(b"x") != digest_of(b"y")


def test_an_outcome_survives_a_kill_until_it_is_admitted_anew(killed_after):
    def seal(store):
        store.admit(KEY, Stored("m", b"d", 1))
        store.seal(KEY, b"\0\1")
        store.admit((KEY[0], 2), Stored("m", b"d", 1))
        store.seal((KEY[0], 2), b"")

    store = killed_after(seal)
    assert store.find(KEY).outcome == b"\0\1"
    assert store.find((KEY[0], 2)).outcome == b""
    store.admit(KEY, Stored("m", b"d", 2))
    assert store.find(KEY) == Stored("m", b"d", 2)


@pytest.mark.parametrize(
    ("service", "forbidden"),
    [
        ("Testbed", ""),
        ("Durable", ""),
        ("Forbidden", "counterpart.testbed.v1.Forbidden/GeneratePersist"),
    ],
)
def test_a_persist_method_with_a_channel_is_forbidden(service, forbidden):
    """r[retry.channel.persist-forbidden]"""
    methods = methods_of(testbed_pb2.DESCRIPTOR.services_by_name[service])
    assert forbidden_among(methods) == forbidden
