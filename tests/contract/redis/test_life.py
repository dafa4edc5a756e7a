"""A sign of life: whatever a server answers, a refusal included; and nothing that only listens."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bennu.adapters.redis import RedisOverSocket
from bennu.adapters.redis_link import Refusal
from bennu.adapters.redis_tls import Tls
from bennu.errors import DependencyDown
from bennu.ports.redis import Address
from tests.contract.kubernetes.pki import Authority
from tests.contract.redis.servers import REAL, Hands, RealHands, program, until
from tests.contract.redis.test_tls import Ground, ground

__all__ = ["ground"]


@pytest.fixture(params=REAL)
def binary(request: pytest.FixtureRequest) -> str:
    found = program(str(request.param))
    if found is None:
        pytest.skip(f"no {request.param} server is installed")
    return found


@pytest.fixture
def hands(binary: str, tmp_path: Path) -> Iterator[RealHands]:
    made = RealHands(binary, tmp_path / "one", "of-today")
    yield made
    made.stop()


def test_a_server_lives_until_it_is_gone(both: tuple[Hands, Hands]) -> None:
    assert both[0].server.lives()
    both[0].stop()
    assert not both[0].server.lives()


def test_one_that_refuses_the_password_lives(hands: RealHands) -> None:
    server = RedisOverSocket(hands.endpoint("of-yesterday"))
    with pytest.raises(DependencyDown, match="refuses the password"):
        server.observe()
    assert server.members() == ()
    assert server.lives()


def test_one_that_refuses_its_questions_lives(hands: RealHands) -> None:
    hands.ask("ACL", "SETUSER", "default", "-info")
    server = RedisOverSocket(hands.endpoint())
    with pytest.raises(DependencyDown):
        server.observe()
    assert server.lives()


def test_one_that_loads_its_data_lives(hands: RealHands) -> None:
    if hands.server.observe().version < "7":
        pytest.skip("Redis 6.2 cannot be told to answer in the middle of so little data (loading-process-events-interval-bytes)")
    for first in range(0, 2000, 100):
        hands.ask("MSET", *(word for n in range(first, first + 100) for word in (f"k{n}", f"{n:0>300}")))
    hands.ask("SAVE")
    hands.stop()
    slowly = ("--appendonly", "no", "--key-load-delay", "5000", "--loading-process-events-interval-bytes", "1024")
    # Not by the hands: they wait until it is ready.
    process = subprocess.Popen([*hands.command(), *slowly], stdout=subprocess.DEVNULL)
    try:
        until(hands.server.lives, "it answers while it loads")
        said = hands.ask("GET", "k1")
        assert isinstance(said, Refusal)
        assert said.code == "LOADING"
    finally:
        process.kill()
        process.wait()


def test_a_stranger_by_tls_lives(ground: Ground) -> None:
    hands = ground.server("one")
    stranger = Authority("stranger")
    server = RedisOverSocket(replace(hands.endpoint(), tls=Tls(lambda: stranger.pem, "else", None)))
    with pytest.raises(DependencyDown, match="cannot be trusted"):
        server.observe()
    assert server.lives()
    hands.stop()
    assert not server.lives()


@pytest.mark.parametrize("speaks_tls", [True, False])
def test_one_that_asks_for_a_certificate_or_was_turned_to_tls_lives(ground: Ground, speaks_tls: bool) -> None:
    hands = ground.server("one", asks_clients=True)
    assert RedisOverSocket(replace(hands.endpoint(), tls=ground.trust() if speaks_tls else None, timeout_s=1.0)).lives()


def test_one_that_speaks_no_tls_where_it_is_expected_lives(hands: RealHands) -> None:
    authority = Authority()
    assert RedisOverSocket(replace(hands.endpoint(), tls=Tls(lambda: authority.pem, "redis", None), timeout_s=1.0)).lives()


def test_who_listens_for_a_dead_server_is_no_sign_of_life(hands: RealHands) -> None:
    with socket.create_server(("127.0.0.1", 0)) as forwarder:
        port = forwarder.getsockname()[1]
        server = RedisOverSocket(replace(hands.endpoint(), address=lambda: Address("127.0.0.1", port), timeout_s=0.3))
        assert not server.lives()
