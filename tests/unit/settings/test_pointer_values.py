"""Values of the pointer: its keys, and the write Service."""

from __future__ import annotations

from pathlib import Path

import pytest

from bennu.manifests.traffic_state import Keys
from tests.unit.settings.files import SMALL, group_of, refusal, swapped


def test_the_pointers_keys_may_have_names_of_the_users_own(tmp_path: Path) -> None:
    text = swapped("name: global-traffic-state}\n", "name: global-traffic-state}\n      keys: {IS_WRITE_MASTER: active, REDIS_WRITE_HOST: ledger.write}\n")
    assert group_of(tmp_path, text).pointer.keys == Keys(write="ledger.write", master="active")
    assert group_of(tmp_path, SMALL).pointer.keys == Keys()


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("{IS_MASTER: x}", "did you mean 'IS_WRITE_MASTER'?"),
        ("{IS_WRITE_MASTER: a/b}", "cannot be a key of a ConfigMap"),
        ("{IS_WRITE_MASTER: MAINTENANCE_MODE}", "MAINTENANCE_MODE would mean more than one thing"),
    ],
)
def test_names_of_the_pointers_keys_that_cannot_be_are_refused(tmp_path: Path, written: str, words: str) -> None:
    error = refusal(tmp_path, swapped("name: global-traffic-state}\n", f"name: global-traffic-state}}\n      keys: {written}\n"))
    assert words in error.message


SERVICE = "mode: service\n      write_service: {namespace: database, name: redis-write, via: externalname}\n"


def test_a_write_service_is_part_of_the_pointer_and_apps_may_read_by_it(tmp_path: Path) -> None:
    text = swapped("name: global-traffic-state}\n", f"name: global-traffic-state}}\n      {SERVICE}")
    found = group_of(tmp_path, text.replace("name: payment-split}\n", "name: payment-split}\n        reads_pointer: service\n"))
    assert found.pointer.write_service is not None
    assert (found.pointer.write_service.via, found.apps[0].reads_pointer) == ("externalname", "service")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("name: global-traffic-state}\n", "name: global-traffic-state}\n      mode: service\n", "mode service needs write_service"),
        (
            "name: global-traffic-state}\n",
            f"name: global-traffic-state}}\n      {SERVICE}".replace("mode: service\n      ", ""),
            "write_service needs mode: service",
        ),
        (
            "name: payment-split}\n",
            "name: payment-split}\n        reads_pointer: service\n",
            "cannot read the pointer by service without pointer.write_service",
        ),
    ],
)
def test_a_write_service_without_its_other_half_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert words in refusal(tmp_path, swapped(old, new)).message


def test_a_write_service_needs_a_redis_to_lead_to(tmp_path: Path) -> None:
    text = swapped("name: global-traffic-state}\n", f"name: global-traffic-state}}\n      {SERVICE}")
    text = text[: text.index("    redis:")] + "    redis: []\n" + text[text.index("    apps:") :]
    assert "has no Redis in the clusters to lead to" in refusal(tmp_path, text).message
