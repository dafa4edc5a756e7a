"""What only a real server can show: passwords, what it is asked on the wire, and how long the critical section takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bennu.adapters.redis import RedisEndpoint, RedisOverSocket
from bennu.adapters.redis_link import Link, WrongPassword
from bennu.errors import DependencyDown
from bennu.ports.redis import Address, Credential
from tests.contract.redis.servers import REAL, RealHands, free_port, parking, program

SECRET = "open-sesame"


@pytest.fixture(params=REAL)
def real(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RealHands]:
    found = program(str(request.param))
    if found is None:
        pytest.skip(f"no {request.param} server is installed")
    hands = RealHands(found, tmp_path / "one", SECRET)
    yield hands
    hands.stop()


def test_a_wrong_password_is_said_without_naming_any(real: RealHands) -> None:
    server = RedisOverSocket(real.endpoint("guessed-wrong"))
    with pytest.raises(DependencyDown, match="refuses the password") as caught:
        server.observe()
    assert "guessed-wrong" not in str(caught.value)
    with pytest.raises(WrongPassword):
        Link(real.endpoint(""), "nobody")


def test_a_needless_password_does_no_harm(tmp_path: Path) -> None:
    found = program("valkey")
    assert found is not None
    hands = RealHands(found, tmp_path / "open")
    try:
        assert RedisOverSocket(hands.endpoint("needless")).observe().is_master
    finally:
        hands.stop()


def test_nobody_listening_is_a_dependency_that_is_down() -> None:
    server = RedisOverSocket(RedisEndpoint("redis of cluster-red", lambda: Address("127.0.0.1", free_port()), str, timeout_s=0.5))
    with pytest.raises(DependencyDown, match="redis of cluster-red does not answer"):
        server.observe()


def test_the_address_is_asked_for_again_at_each_connection(real: RealHands) -> None:
    asked = []

    def address() -> Address:
        asked.append(real.address)
        return real.address

    server = RedisOverSocket(RedisEndpoint("redis of cluster-blue", address, lambda: SECRET))
    server.observe()
    server.observe()
    real.crash()
    server.observe()
    assert len(asked) == 2


def test_a_server_learns_the_credential_that_it_needs_as_a_replica(real: RealHands) -> None:
    real.server.authenticate_as(Credential("replicator", "of-the-other"))
    real.crash()
    assert real.ask("CONFIG", "GET", "masterauth") == ["masterauth", "of-the-other"]
    assert real.ask("CONFIG", "GET", "masteruser") == ["masteruser", "replicator"]
    real.server.authenticate_as(Credential("", SECRET))
    assert real.ask("CONFIG", "GET", "masterauth") == ["masterauth", SECRET]
    assert real.ask("CONFIG", "GET", "masteruser") == ["masteruser", ""]


def test_a_sentinel_that_listens_is_seen(real: RealHands) -> None:
    listener = real.link("sentinel")
    listener.one("SUBSCRIBE", "__sentinel__:hello")
    assert real.server.observe().sentinels == 1
    listener.close()


def test_an_acl_that_forbids_config_leaves_unsafe_values_and_no_error(real: RealHands) -> None:
    real.ask("ACL", "SETUSER", "watcher", "on", ">" + SECRET, "~*", "&*", "+@all", "-config")
    seen = RedisOverSocket(RedisEndpoint("redis of cluster-blue", lambda: real.address, lambda: SECRET, username="watcher")).observe()
    assert seen.is_master
    assert not seen.read_only_replica
    assert seen.data_dir == ""


def test_a_fence_that_an_acl_forbids_changes_nothing(real: RealHands) -> None:
    real.ask("ACL", "SETUSER", "weak", "on", ">" + SECRET, "~*", "&*", "+@all", "-config")
    weak = RedisOverSocket(RedisEndpoint("redis of cluster-blue", lambda: real.address, lambda: SECRET, username="weak"))
    with weak.critical("bennu-prod-us-east-1-7-1") as critical, pytest.raises(Exception, match="NOPERM"):
        critical.fence(parking())
    assert real.server.observe().is_master


def test_only_what_is_asked_goes_over_the_critical_connection(real: RealHands) -> None:
    real.ask("CONFIG", "RESETSTAT")
    with real.server.critical("bennu-prod-us-east-1-7-1") as critical:
        critical.position()
    stats = real.ask("INFO", "commandstats")
    assert isinstance(stats, str)
    for needless in ("cmdstat_hello", "cmdstat_ping", "cmdstat_client|setinfo", "cmdstat_select"):
        assert needless not in stats


def test_pause_to_fence_takes_a_few_milliseconds(real: RealHands) -> None:
    took = []
    with real.server.critical("bennu-prod-us-east-1-7-1") as critical:
        for _ in range(5):
            start = time.perf_counter()
            critical.pause(1000)
            critical.fence(parking())
            took.append(time.perf_counter() - start)
            critical.make_master()
            critical.unpause()
    # Measured: 1–4 ms. The bound leaves room for a busy machine and still catches a round trip that waits for something.
    assert min(took) < 0.1


def test_a_frozen_server_loses_the_critical_connection_within_its_time_out(real: RealHands) -> None:
    with real.server.critical("bennu-prod-us-east-1-7-1") as critical:
        real.freeze()
        with pytest.raises(ConnectionError, match="in time"):
            critical.position()
        real.thaw()
        with pytest.raises(ConnectionError, match="in time"):
            critical.position()


def test_a_server_without_auth_repeats_no_password(tmp_path: Path) -> None:
    """Redis quotes the arguments of a command that it does not know."""
    found = program("redis") or program("valkey")
    assert found is not None
    hands = RealHands(found, tmp_path / "renamed", more=('rename-command AUTH ""',))
    try:
        with pytest.raises(DependencyDown, match="AUTH was answered ERR") as caught:
            RedisOverSocket(hands.endpoint(SECRET)).observe()
        assert SECRET not in f"{caught.value} {caught.value.next_step} {caught.value.__cause__}"
    finally:
        hands.stop()
