"""Redis over TLS, with an authority made for the test: verified by name and chain, and replication that speaks it, too."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bennu.adapters.redis import RedisOverSocket
from bennu.adapters.redis_tls import Tls
from bennu.core.surroundings import Admission
from bennu.errors import DependencyDown
from tests.contract.kubernetes.pki import Authority, Pair
from tests.contract.redis.servers import REAL, RealHands, free_port, parking, program, until

NAME = "redis.database.svc.cluster.local"
SECRET = "open-sesame"


def _without_tls(found: str) -> bool:
    """Whether the binary was built without it: one built with it complains of the certificate."""
    asked = subprocess.run(
        [found, "--port", "0", "--tls-port", str(free_port()), "--tls-cert-file", "/nowhere"], check=False, capture_output=True, text=True, timeout=10
    )
    said = asked.stdout + asked.stderr
    return "Failed finding TLS support" in said or "Bad directive" in said


@dataclass(frozen=True)
class Ground:
    """What TLS servers are made of."""

    program: str
    folder: Path
    authority: Authority
    stack: ExitStack

    def server(self, name: str, *, asks_clients: bool = False, replication: bool = True, named: str = NAME) -> RealHands:
        pair = self.authority.peer(named)
        lines = [f"tls-replication {'yes' if replication else 'no'}", f"tls-auth-clients {'yes' if asks_clients else 'no'}"]
        for key, text in (("tls-cert-file", pair.certificate), ("tls-key-file", pair.key), ("tls-ca-cert-file", self.authority.pem)):
            path = self.folder / f"{name}.{key}"
            path.write_text(text)
            lines.append(f"{key} {path}")
        client = self.authority.client("bennu") if asks_clients else None
        hands = RealHands(self.program, self.folder / name, SECRET, lines, self.trust(client))
        self.stack.callback(hands.stop)
        return hands

    def trust(self, client: Pair | None = None) -> Tls:
        return Tls(lambda: self.authority.pem, NAME, _shown(client))


def _shown(pair: Pair | None) -> Callable[[], tuple[str, str]] | None:
    return None if pair is None else lambda: (pair.certificate, pair.key)


@pytest.fixture(params=REAL)
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ground]:
    found = program(str(request.param))
    if found is None:
        pytest.skip(f"no {request.param} server is installed")
    if _without_tls(found):
        pytest.skip(f"this {request.param} server was built without TLS")
    with ExitStack() as stack:
        yield Ground(found, tmp_path, Authority(), stack)


def _with(hands: RealHands, tls: Tls | None) -> RedisOverSocket:
    return RedisOverSocket(replace(hands.endpoint(), tls=tls))


def test_a_server_that_shows_the_right_name_from_the_right_authority_is_read(ground: Ground) -> None:
    seen = ground.server("one").server.observe()
    assert seen.is_master
    assert seen.tls_replication


def test_another_authority_is_not_trusted_and_no_password_is_sent_to_it(ground: Ground) -> None:
    hands = ground.server("one")
    stranger = Authority("stranger")
    with pytest.raises(DependencyDown, match="cannot be trusted") as caught:
        _with(hands, Tls(lambda: stranger.pem, NAME)).observe()
    assert "redis[].tls" in caught.value.next_step
    stats = hands.ask("INFO", "commandstats")
    assert "cmdstat_auth:calls=1," in str(stats), "only this question's own"


def test_a_certificate_for_another_name_is_not_trusted(ground: Ground) -> None:
    hands = ground.server("one", named="redis.elsewhere.svc.cluster.local")
    with pytest.raises(DependencyDown, match=r"cannot be trusted.*(mismatch|not valid for)"):
        hands.server.observe()


def test_an_authority_that_is_no_certificate_is_said(ground: Ground) -> None:
    with pytest.raises(DependencyDown, match="no PEM certificate"):
        _with(ground.server("one"), Tls(lambda: "-----BEGIN nothing-----", NAME)).observe()


def test_plain_text_to_a_tls_port_and_tls_to_a_plain_port_are_said_and_do_not_hang(ground: Ground, tmp_path: Path) -> None:
    with pytest.raises(DependencyDown, match="does not answer"):
        _with(ground.server("one"), None).observe()
    plain = RealHands(ground.program, tmp_path / "plain", SECRET)
    ground.stack.callback(plain.stop)
    with pytest.raises(DependencyDown):
        _with(plain, ground.trust()).observe()


def test_a_server_that_asks_for_a_clients_certificate_gets_it(ground: Ground) -> None:
    hands = ground.server("one", asks_clients=True)
    assert hands.server.observe().is_master
    with pytest.raises(DependencyDown):
        _with(hands, ground.trust()).observe()


def test_a_clients_certificate_whose_key_is_another_ones_is_said_without_showing_it(ground: Ground) -> None:
    hands = ground.server("one", asks_clients=True)
    one, other = ground.authority.client("bennu"), ground.authority.client("bennu")
    with pytest.raises(DependencyDown, match="client_secret do not fit") as caught:
        _with(hands, ground.trust(Pair(one.certificate, other.key))).observe()
    assert "PRIVATE KEY" not in str(caught.value)


def test_a_server_that_would_replicate_without_tls_says_so(ground: Ground) -> None:
    assert not ground.server("one", replication=False).server.observe().tls_replication


@pytest.mark.parametrize("asks_clients", [False, True])
def test_a_replica_is_received_by_the_certificates_of_its_own_side_and_by_its_password(ground: Ground, asks_clients: bool) -> None:
    source, target = ground.server("source", asks_clients=asks_clients), ground.server("target", asks_clients=asks_clients)
    shown = source.server.credential_for_master()
    assert target.server.lets_in(shown, source.server.trust()) is Admission.LET_IN
    assert target.server.lets_in(replace(shown, password="guessed-wrong"), source.server.trust()) is Admission.WRONG_CREDENTIAL
    assert SECRET not in repr(source.server.trust())
    assert "PRIVATE KEY" not in repr(source.server.trust())


def test_servers_of_two_authorities_that_know_nothing_of_each_other_are_found_from_either_side(ground: Ground) -> None:
    source, target = ground.server("source"), replace(ground, authority=Authority("another")).server("target")
    assert source.server.observe().is_master
    assert target.server.observe().is_master
    for server, other in ((source.server, target.server), (target.server, source.server)):
        assert server.lets_in(other.credential_for_master(), other.trust()) is Admission.UNTRUSTED


def test_a_client_certificate_that_the_other_side_does_not_trust_is_found(ground: Ground) -> None:
    target = ground.server("target", asks_clients=True)
    shown, mine = target.server.credential_for_master(), target.server.trust()
    assert mine is not None
    stranger = Authority("stranger").client("redis")
    assert target.server.lets_in(shown, replace(mine, client=(stranger.certificate, stranger.key))) is Admission.UNTRUSTED
    assert target.server.lets_in(shown, replace(mine, client=None)) is Admission.UNTRUSTED


@pytest.mark.parametrize("asks_clients", [False, True])
def test_the_ends_of_the_certificates_on_either_side_are_told(ground: Ground, asks_clients: bool) -> None:
    found = ground.server("one", asks_clients=asks_clients).server.expiries()
    assert [one.what for one in found] == [
        "the TLS certificate of redis of cluster-blue",
        *(["the client certificate for redis of cluster-blue"] if asks_clients else []),
    ]
    assert all(timedelta(hours=23) < one.at - datetime.now(UTC) < timedelta(hours=25) for one in found)


def test_a_certificate_that_was_renewed_in_a_running_server_is_seen_with_its_new_end(ground: Ground) -> None:
    hands = ground.server("one")
    hands.server.observe()
    (before,) = hands.server.expiries()
    pair = ground.authority.peer(NAME, days=3)
    for key, text in (("tls-cert-file", pair.certificate), ("tls-key-file", pair.key)):
        (ground.folder / f"one.{key}").write_text(text)
    assert hands.ask("CONFIG", "SET", "tls-cert-file", f"{ground.folder}/one.tls-cert-file", "tls-key-file", f"{ground.folder}/one.tls-key-file") == "OK"
    (after,) = hands.server.expiries()
    assert after.at - before.at > timedelta(days=1)


def test_a_server_that_is_down_is_not_taken_for_one_that_does_not_trust(ground: Ground) -> None:
    hands = ground.server("one", asks_clients=True)
    shown, mine = hands.server.credential_for_master(), hands.server.trust()
    hands.stop()
    with pytest.raises(DependencyDown, match="does not answer"):
        hands.server.lets_in(shown, mine)


@pytest.mark.parametrize("asks_clients", [False, True])
def test_a_whole_hand_over_runs_over_tls_and_the_old_master_follows_over_it(ground: Ground, asks_clients: bool) -> None:
    source, target = ground.server("source", asks_clients=asks_clients), ground.server("target", asks_clients=asks_clients)
    assert source.write("first", "1")
    target.server.replicate(source.address)
    until(lambda: target.server.observe().link_up and not target.server.observe().saving_or_loading, "the target follows the source")
    with source.server.critical("bennu-prod-us-east-1-7-1") as old, target.server.critical("bennu-prod-us-east-1-7-1") as new:
        history = old.observe().replid
        with new.following(0.002) as following:
            assert following.reaches(old.pause(3000), history, 2)
            fenced = old.fence(parking())
            assert fenced.persisted
            assert following.reaches(fenced.offset, history, 2)
        new.make_master()
        old.attach(target.address)
        old.unpause()
        until(lambda: old.observe().link_up, "the old master follows the new one")
    assert target.write("second", "2")
    until(lambda: source.read("second") == "2", "the write is replicated back")
    assert target.server.observe().sync_full == 0
