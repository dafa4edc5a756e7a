"""How Redis is reached and trusted, as the file says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bennu.core.clusters import Colour
from bennu.wiring.secret_sources import coloured_secret
from tests.unit.settings.files import group_of, refusal, swapped

ANCHOR = "    apps:\n"


def redis_with(lines: str) -> str:
    return swapped(ANCHOR, f"        {lines}\n{ANCHOR}")


def test_tls_names_its_authority_and_what_the_certificate_must_say(tmp_path: Path) -> None:
    tls = group_of(tmp_path, redis_with('tls: {ca_secret: database/ca, server_name: "redis-{colour}.example"}')).redis[0].tls
    assert tls is not None
    assert (tls.ca_secret, tls.key, tls.server_name, tls.client_secret) == ("database/ca", "ca.crt", "redis-{colour}.example", None)


def test_a_secret_that_the_sync_job_could_not_use_is_refused(tmp_path: Path) -> None:
    assert "must lie in the Service's namespace, database" in refusal(tmp_path, redis_with("tls: {ca_secret: payments/ca}")).message
    assert "must lie in the Service's namespace, database" in refusal(tmp_path, redis_with("auth: {secret: payments/redis}")).message


@pytest.mark.parametrize("place", ["env:REDIS_{colour}", "env:REDIS", "file:/run/secrets/redis-{colour}"])
def test_a_password_may_lie_elsewhere_than_in_a_secret(tmp_path: Path, place: str) -> None:
    auth = group_of(tmp_path, redis_with(f'auth: {{password: "{place}"}}')).redis[0].auth
    assert auth is not None
    assert (auth.secret, auth.password) == (None, place)


@pytest.mark.parametrize("value", ["hunter2", "env:HUNTER 2", "file:hunter2", "vault:kv/hunter2", "vault:hunter2#password", "env:{hunter}2"])
def test_a_password_typed_in_clear_is_refused_and_not_repeated(tmp_path: Path, value: str) -> None:
    error = refusal(tmp_path, redis_with(f'auth: {{password: "{value}"}}'))
    assert "no secret stands in this file" in error.message
    assert "hunter" not in error.message.lower()


def test_auth_must_say_where_the_password_lies(tmp_path: Path) -> None:
    assert "neither secret nor password" in refusal(tmp_path, redis_with("auth: {username: bennu}")).message


def test_a_password_in_vault_needs_to_know_which(tmp_path: Path) -> None:
    text = redis_with('auth: {password: "vault:kv/redis#password"}')
    assert "say vault.address" in refusal(tmp_path, text).message
    vault = "    vault: {address: https://vault.example}\n"
    assert group_of(tmp_path, text.replace("    pointer:\n", f"{vault}    pointer:\n")).vault is not None


def test_a_secret_of_each_colour_is_read_from_the_environment() -> None:
    read = coloured_secret("env:REDIS_{colour}", Colour.GREEN, None, {"REDIS_green": "of-green"})
    assert read() == "of-green"
