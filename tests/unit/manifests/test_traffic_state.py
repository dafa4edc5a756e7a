"""traffic-state.yaml: the pointer's four keys, and nothing beside them."""

from __future__ import annotations

from itertools import product

import pytest

from bennu.errors import ConfigError
from bennu.manifests import traffic_state
from bennu.manifests.traffic_state import Keys, TrafficState, hot, warm
from bennu.manifests.write_service import WriteService
from tests.unit.manifests.texts import changed

FILE = """\
# The write pointer.
apiVersion: v1
kind: ConfigMap
metadata:
  name: global-traffic-state
  namespace: payments
data:
  REDIS_READ_HOST: "redis.database.svc.cluster.local"
  REDIS_WRITE_HOST: redis.database.svc.cluster.local # who takes writes
  IS_WRITE_MASTER: "true"
  MAINTENANCE_MODE: 'false'
  OURS: untouched
"""


def test_the_master_reads_and_writes_at_home() -> None:
    assert hot("redis", "database") == TrafficState("redis.database.svc.cluster.local", "redis.database.svc.cluster.local", is_write_master=True)


def test_any_other_cluster_writes_through_the_masters_mirror() -> None:
    mirror = "redis-cluster-blue.database.svc.cluster.local"
    assert warm("redis", "database", mirror="redis-cluster-blue") == TrafficState("redis.database.svc.cluster.local", mirror, is_write_master=False)
    assert warm("redis", "database", mirror="redis-cluster-blue", reads_local=False).read_host == mirror


def test_the_file_is_read_as_kubernetes_would_hold_it() -> None:
    assert traffic_state.parse(FILE, "f") == hot("redis", "database")
    assert traffic_state.data(FILE, "f")["OURS"] == "untouched"


@pytest.mark.parametrize(
    ("written", "told"),
    [('"true"', True), ("true", True), ("True", True), ('"TRUE"', True), ('"false"', False), ("false", False), ("", False), ('"yes"', False), ("1", False)],
)
def test_only_true_gives_the_authority(written: str, told: bool) -> None:
    assert traffic_state.parse(FILE.replace('IS_WRITE_MASTER: "true"', f"IS_WRITE_MASTER: {written}"), "f").is_write_master is told


def test_what_the_file_does_not_say_is_not_guessed() -> None:
    assert traffic_state.parse("kind: ConfigMap\n", "f") == TrafficState(None, None, is_write_master=False)
    assert traffic_state.parse("kind: ConfigMap\ndata:\n  REDIS_READ_HOST:\n", "f").read_host == ""


def test_a_flip_changes_the_lines_of_the_keys_that_change_and_keeps_their_quotes() -> None:
    flipped = traffic_state.edited(FILE, warm("redis", "database", mirror="redis-cluster-green"), "f")
    assert changed(FILE, flipped) == (
        ["  REDIS_WRITE_HOST: redis.database.svc.cluster.local # who takes writes\n", '  IS_WRITE_MASTER: "true"\n'],
        ["  REDIS_WRITE_HOST: redis-cluster-green.database.svc.cluster.local # who takes writes\n", '  IS_WRITE_MASTER: "false"\n'],
    )
    assert traffic_state.edited(flipped, hot("redis", "database"), "f") == FILE


@pytest.mark.parametrize(("master", "maintenance"), list(product([True, False], repeat=2)))
def test_flags_are_written_as_text_and_read_back(master: bool, maintenance: bool) -> None:
    state = TrafficState("a", "b", is_write_master=master, maintenance_mode=maintenance)
    for text in (FILE, FILE.replace('"true"', "true").replace("'false'", "false"), "kind: ConfigMap\ndata: {}\n", "kind: ConfigMap\n"):
        edited = traffic_state.edited(text, state, "f")
        assert traffic_state.parse(edited, "f") == state
        assert f'IS_WRITE_MASTER: "{str(master).lower()}"' in edited, "a ConfigMap takes text alone"


def test_a_group_without_redis_keeps_the_files_own_hosts() -> None:
    state = TrafficState(None, None, is_write_master=False)
    edited = traffic_state.edited(FILE, state, "f")
    assert changed(FILE, edited) == (['  IS_WRITE_MASTER: "true"\n'], ['  IS_WRITE_MASTER: "false"\n'])
    assert "HOST" not in traffic_state.edited("kind: ConfigMap\n", state, "f")


def test_authority_comes_and_goes_without_the_hosts() -> None:
    state = TrafficState("a", "b", is_write_master=False, maintenance_mode=True)
    assert state.with_authority() == TrafficState("a", "b", is_write_master=True)
    assert state.with_authority().without_authority() == TrafficState("a", "b", is_write_master=False)


@pytest.mark.parametrize(
    "text", ["kind: Secret\n", "", "kind: ConfigMap\n---\nkind: ConfigMap\n", "kind: ConfigMap\ndata: [a]\n", "kind: ConfigMap\ndata: text\n", "- a\n", "a: ["]
)
def test_another_shape_is_refused_with_the_file_named(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^traffic-state\.yaml"):
        traffic_state.parse(text, "traffic-state.yaml")
    with pytest.raises(ConfigError, match=r"^traffic-state\.yaml"):
        traffic_state.edited(text, hot("redis", "database"), "traffic-state.yaml")


def test_keys_of_the_users_own_are_read_and_written_and_the_specifications_are_nobodys() -> None:
    keys = Keys("reads", "writes", "active", "frozen")
    text = (
        FILE.replace("REDIS_READ_HOST", "reads")
        .replace("REDIS_WRITE_HOST", "writes")
        .replace("IS_WRITE_MASTER", "active")
        .replace("MAINTENANCE_MODE", "frozen")
    )
    assert traffic_state.parse(text, "f", keys) == hot("redis", "database")
    moved = traffic_state.edited(text, warm("redis", "database", mirror="redis-cluster-green"), "f", keys)
    assert traffic_state.parse(moved, "f", keys) == warm("redis", "database", mirror="redis-cluster-green")
    assert not any(name in moved for name in ("REDIS_", "IS_WRITE", "MAINTENANCE"))
    assert traffic_state.edited(moved, hot("redis", "database"), "f", keys) == text


@pytest.mark.parametrize(
    ("annotations", "told"), [("", 0), ('{bennu.io/term: "7"}', 7), ("{bennu.io/term: 7}", 7), ('{bennu.io/term: "-1"}', 0), ("{bennu.io/term: x}", 0)]
)
def test_the_term_is_read_and_written_on_every_object_that_flips(annotations: str, told: int) -> None:
    text = FILE.replace("  namespace: payments\n", f"  namespace: payments\n  annotations: {annotations}\n") if annotations else FILE
    assert traffic_state.term(text, "f") == told
    service = "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: redis-write\n  namespace: database\nspec:\n  type: ExternalName\n  externalName: a.b.svc.cluster.local\n"
    written = traffic_state.with_term(text + service, told + 1, WriteService("database", "redis-write", "externalname"), "f")
    assert traffic_state.term(written, "f") == told + 1
    assert written.count(f'bennu.io/term: "{told + 1}"') + written.count(f"bennu.io/term: '{told + 1}'") == 2
    assert traffic_state.with_term(text, told + 1, None, "f").count("bennu.io/term") == 1
