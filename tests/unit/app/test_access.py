"""Who a key is: looked up once and believed for two seconds, never past a revocation on this server, never against its tenant."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tallystick.app.access import Access, key_hash
from tallystick.app.clock import FileClock, RandomIds, clock_of
from tallystick.model.access import Denied, Grant, Place, Role

KEY = "tsk_" + "k" * 43
GRANT = Grant(key_id="1", role=Role.AGENT, place=Place(), customers=frozenset({"acme"}))


class Stand:
    def __init__(self) -> None:
        self.at_ns = 0
        self.asked = 0
        self.keys = {key_hash(KEY): GRANT}

    def now_ns(self) -> int:
        return self.at_ns

    def monotonic_ns(self) -> int:
        return self.at_ns

    def find(self, hashed: bytes) -> Grant | None:
        self.asked += 1
        return self.keys.get(hashed)


def ask(access: Access, listener: tuple[str, int] | None = None, **headers: str) -> Grant:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return asyncio.run(access.authenticate(named, listener))


def test_a_key_is_looked_up_once_in_two_seconds() -> None:
    stand = Stand()
    access = Access(stand.find, stand)
    for at_ns, asked in ((0, 1), (1_999_999_999, 1), (2 * 10**9, 2)):
        stand.at_ns = at_ns
        assert ask(access, authorization=f"Bearer {KEY}") == GRANT
        assert stand.asked == asked


def test_a_revoked_key_ends_when_the_server_forgets() -> None:
    stand = Stand()
    access = Access(stand.find, stand)
    ask(access, authorization=f"Bearer {KEY}")
    stand.keys.clear()
    access.forget()
    with pytest.raises(Denied, match="unknown or revoked") as caught:
        ask(access, authorization=f"Bearer {KEY}")
    assert not caught.value.known


@pytest.mark.parametrize("headers", [{}, {"authorization": ""}, {"authorization": "Basic eDp5"}, {"authorization": "Bearer dev_user_1"}])
def test_without_a_key_nobody_is_known(headers: dict[str, str]) -> None:
    stand = Stand()
    with pytest.raises(Denied) as caught:
        ask(Access(stand.find, stand), ("127.0.0.1", 8080), **headers)
    assert not caught.value.known
    assert stand.asked == 0, "what is no key is not looked up"


def test_a_tenant_that_is_not_the_keys_is_refused_as_known() -> None:
    stand = Stand()
    access = Access(stand.find, stand)
    for tenant in ("default", "acme"):
        assert ask(access, x_api_key=KEY, x_tenant_id=tenant) == GRANT
    with pytest.raises(Denied, match="'other'") as caught:
        ask(access, x_api_key=KEY, x_tenant_id="other")
    assert caught.value.known


def test_a_trusted_listener_is_an_agent_of_its_place_and_a_wrong_key_is_still_wrong_there() -> None:
    stand = Stand()
    access = Access(stand.find, stand)
    access.trust(("127.0.0.1", 8081), Place(scope_id="daemons"))
    found = ask(access, ("127.0.0.1", 8081))
    assert (found.role, found.place.scope_id) == (Role.AGENT, "daemons")
    with pytest.raises(Denied):
        ask(access, ("127.0.0.1", 8082))
    with pytest.raises(Denied):
        ask(access, ("127.0.0.1", 8081), authorization="Bearer tsk_wrong")


def test_keys_have_256_bits_and_differ() -> None:
    ids = RandomIds()
    keys = {ids.new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith("tsk_") and len(key) == 47 for key in keys)


def test_a_clock_can_stand_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "clock"
    path.write_text("1772000000000000000\n")
    clock = clock_of(path)
    assert clock.now_ns() == 1_772_000_000_000_000_000
    path.write_text("soon")
    with pytest.raises(ValueError, match="holds 'soon'"):
        clock.now_ns()
    with pytest.raises(ValueError, match="nowhere"):
        FileClock(path.parent / "nowhere")


@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_a_listener_of_every_address_is_known_at_each(address: str) -> None:
    stand = Stand()
    access = Access(stand.find, stand)
    access.trust((address, 8443), Place(scope_id="hosts"))
    access.trust(("127.0.0.1", 8081), Place())
    assert ask(access, ("10.0.0.7", 8443)).place == Place(scope_id="hosts")
    for other in (("10.0.0.7", 8081), ("10.0.0.7", 8444)):
        with pytest.raises(Denied):
            ask(access, other)
