"""Rotation of resume keys: no cut locks anyone out, and no key works twice."""

from runtime.resume import ResumeKeys


def fresh() -> tuple[dict, ResumeKeys]:
    registry: dict[bytes, str] = {}
    return registry, ResumeKeys(registry, "session")


def test_a_first_lets_go_may_be_lost() -> None:
    registry, keys = fresh()
    first = keys.present(b"")
    second = keys.present(first)  # LetsGo never came; the initiator had read HelloYourself
    assert first != second
    assert keys.bind(first)
    assert not keys.bind(b"")  # the first link's LetsGo comes late
    assert set(registry) == {second}


def test_the_successor_is_minted_once() -> None:
    registry, keys = fresh()
    first = keys.present(b"")
    assert keys.bind(b"")
    assert keys.present(first) == keys.present(first)
    assert len(registry) == 2


def test_presenting_the_successor_retires_the_key() -> None:
    registry, keys = fresh()
    first = keys.present(b"")
    assert keys.bind(b"")
    second = keys.present(first)
    third = keys.present(second)
    assert set(registry) == {second, third}
    assert not keys.bind(first)
    assert keys.bind(second)
    assert set(registry) == {third}


def test_only_one_of_two_links_opened_with_a_key_is_bound() -> None:
    _, keys = fresh()
    first = keys.present(b"")
    assert keys.bind(b"")
    keys.present(first)
    keys.present(first)
    assert keys.bind(first)
    assert not keys.bind(first)


def test_a_dropped_session_is_unknown() -> None:
    registry, keys = fresh()
    keys.present(keys.present(b""))
    keys.drop()
    assert not registry
