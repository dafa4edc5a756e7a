"""How Redis is reached and trusted, as the file says it."""

from __future__ import annotations

from pathlib import Path

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
