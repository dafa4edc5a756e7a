"""What S4 asks of both servers before either follows the other."""

from __future__ import annotations

from bennu.core.clusters import Colour
from bennu.core.record import parse_all
from bennu.core.states import State
from tests.sim.fleet import GROUP
from tests.sim.pilot import Pilot, entered, until
from tests.sim.seams import Taps
from tests.sim.universe import Kit, Universe

TLS = Kit(weights=(10,), ledger="tls: {ca_secret: database/redis-ca}")


def passwords(kit: Kit, blue: str, green: str) -> Universe:
    world = entered(State.DATA_SYNCING, kit)
    world.redis(Colour.BLUE).knobs.password, world.redis(Colour.GREEN).knobs.password = blue, green
    return world


def test_each_server_is_given_the_password_that_the_other_asks_for() -> None:
    world = passwords(Kit(weights=(10,), ledger="auth: {secret: database/redis, same_on_both: false}"), "of-blue", "of-green")
    pilot = Pilot(world)
    pilot.watch = until(State.TRAFFIC_CANARY)
    assert pilot.resume().standing.state is State.TRAFFIC_CANARY
    assert (world.redis(Colour.BLUE).masterauth, world.redis(Colour.GREEN).masterauth) == ("of-green", "of-blue")


def test_two_passwords_where_one_was_promised_are_refused_and_not_shown() -> None:
    world = passwords(Kit(weights=(10,), ledger="auth: {secret: database/redis}"), "of-blue", "of-green")
    outcome = Pilot(world).resume()
    assert outcome.code == 3, outcome
    assert "same_on_both" in str(outcome.error)
    assert "of-blue" not in str(outcome.error)
    assert world.redis(Colour.BLUE).masterauth == ""


def test_a_server_that_would_follow_without_tls_is_found_before_it_must() -> None:
    world = entered(State.DATA_SYNCING, TLS)
    world.redis(Colour.GREEN).knobs.tls_replication = True
    outcome = Pilot(world).resume()
    assert outcome.code == 3, outcome
    assert "redis-blue would not speak TLS to its master" in str(outcome.error)
    assert world.redis(Colour.GREEN).state.master != world.redis(Colour.BLUE).address
    world.redis(Colour.BLUE).knobs.tls_replication = True
    pilot = Pilot(world)
    pilot.watch = until(State.TRAFFIC_CANARY)
    assert pilot.resume().standing.state is State.TRAFFIC_CANARY


def test_without_a_secret_in_the_clusters_bennu_makes_the_target_follow_and_no_job_is_committed() -> None:
    world = entered(State.DATA_SYNCING, Kit(weights=(10,), ledger="auth: {password: env:REDIS_PASSWORD}"))
    before = len(world.remote.history)
    pilot = Pilot(world)
    pilot.watch = until(State.TRAFFIC_CANARY)
    assert pilot.resume().standing.state is State.TRAFFIC_CANARY
    assert not any("redis-init-sync" in path for one in world.remote.history[before:] for path in one.files)
    assert world.redis(Colour.GREEN).state.synced


def test_a_target_that_bennu_itself_makes_follow_is_announced_first() -> None:
    world = entered(State.DATA_SYNCING, Kit(weights=(10,), ledger="auth: {password: 'env:REDIS_PASSWORD'}"))
    last: list[tuple[str, str]] = []

    def before(call: str) -> None:
        if call == "redis.green.replicate":
            records = parse_all(world.remote.journals[str(GROUP)][-1].lines)
            last.append((records[-1].kind, records[-1].step))

    pilot = Pilot(world, taps=Taps(before=before))
    pilot.watch = until(State.TRAFFIC_CANARY)
    pilot.resume()
    # By that push the lock was held a moment before.
    assert last == [("intent", "data-syncing.follow")]
