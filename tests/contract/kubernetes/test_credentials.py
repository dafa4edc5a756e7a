"""Credentials that die in the middle of a run, and plugins that must ask nobody."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bennu.adapters.certificates import PemCertificates
from bennu.adapters.kubernetes_credentials import Manners
from bennu.errors import DependencyDown, UsageError
from tests.contract.kubernetes.configs import encoded
from tests.contract.kubernetes.conftest import Opener, fine
from tests.contract.kubernetes.pki import Authority
from tests.contract.kubernetes.scripted import Answer, Request, Scripted

QUIET = Manners(no_input=True)


def plugin(folder: Path, script: str, **more: Any) -> dict[str, Any]:
    """A user whose exec plugin is a shell script beside the kubeconfig, named by a relative path. Each run leaves a line in ``runs``."""
    path = folder / "get-token"
    path.write_text(f"#!/bin/sh\necho run >> {folder}/runs\n{script}\n")
    path.chmod(0o755)
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "./get-token", "interactiveMode": "Never", **more}}


def runs(folder: Path) -> int:
    return len((folder / "runs").read_text().splitlines())


def credential(**status: str) -> str:
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
    return f"cat <<'END'\n{json.dumps(answer)}\nEND"


def accepting(*tokens: str) -> Any:
    def script(request: Request) -> Answer:
        return fine(request) if request.headers.get("authorization") in {f"Bearer {token}" for token in tokens} else Answer(401, {"message": "Unauthorized"})

    return script


def test_a_plugins_token_is_used_and_asked_for_once(opened: Opener, scripted: Scripted, tmp_path: Path) -> None:
    scripted.script = accepting("abc")
    api = opened(user=plugin(tmp_path, credential(token="abc")))
    assert api.version() == api.version() == "v1.33.1"
    assert runs(tmp_path) == 1


def test_a_token_that_is_refused_in_the_middle_is_renewed_once(opened: Opener, scripted: Scripted, tmp_path: Path) -> None:
    scripted.script = accepting("token-1")
    answer = json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "token-N"}})
    api = opened(user=plugin(tmp_path, f"n=$(wc -l < {tmp_path}/runs); printf '%s' '{answer}' | sed \"s/token-N/token-$((n))/\""))
    assert api.version() == "v1.33.1"
    scripted.script = accepting("token-2")
    assert api.version() == "v1.33.1"
    assert runs(tmp_path) == 2


def test_a_plugin_that_gives_the_same_refused_token_again_is_not_asked_for_ever(opened: Opener, scripted: Scripted, tmp_path: Path) -> None:
    scripted.script = accepting("never")
    api = opened(user=plugin(tmp_path, credential(token="stale-token")))
    with pytest.raises(DependencyDown, match="401 Unauthorized") as caught:
        api.version()
    assert runs(tmp_path) == 2
    assert "stale-token" not in str(caught.value)
    assert "log in again" in caught.value.next_step


def test_a_token_near_its_end_is_renewed_before_it_is_used(opened: Opener, scripted: Scripted, tmp_path: Path) -> None:
    scripted.script = accepting("abc")
    soon = (datetime.now(UTC) + timedelta(seconds=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    api = opened(user=plugin(tmp_path, credential(token="abc", expirationTimestamp=soon)))
    api.version()
    api.version()
    assert runs(tmp_path) == 2


def test_the_end_of_a_credential_is_told(opened: Opener, tmp_path: Path) -> None:
    api = opened(user=plugin(tmp_path, credential(token="abc", expirationTimestamp="2031-01-02T03:04:05Z")))
    assert api.credential_expiry(datetime.now(UTC)) == datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)
    claims = base64.urlsafe_b64encode(json.dumps({"exp": 1924992000}).encode()).decode().rstrip("=")
    assert opened(user={"token": f"e30.{claims}.sig"}).credential_expiry(datetime.now(UTC)) == datetime(2031, 1, 1, tzinfo=UTC)
    assert opened(user={"token": "opaque"}).credential_expiry(datetime.now(UTC)) is None


@pytest.mark.parametrize("by", ["data", "file"])
def test_the_end_of_a_static_client_certificate_is_told(opened: Opener, tmp_path: Path, by: str) -> None:
    pair = Authority().client("sre")
    (tmp_path / "crt").write_text(pair.certificate)
    (tmp_path / "key").write_text(pair.key)
    inline = {"client-certificate-data": encoded(pair.certificate), "client-key-data": encoded(pair.key)}
    user = inline if by == "data" else {"client-certificate": str(tmp_path / "crt"), "client-key": str(tmp_path / "key")}
    end = opened(user=user).credential_expiry(datetime.now(UTC))
    assert end is not None
    assert end == PemCertificates().not_after(pair.certificate)
    assert timedelta(hours=23) < end - datetime.now(UTC) < timedelta(hours=25)


def test_a_token_that_would_end_too_early_is_renewed_by_its_plugin(opened: Opener, tmp_path: Path) -> None:
    early = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=5)
    api = opened(user=plugin(tmp_path, credential(token="abc", expirationTimestamp=early.strftime("%Y-%m-%dT%H:%M:%SZ"))))
    assert api.credential_expiry(early - timedelta(minutes=2)) == early
    assert runs(tmp_path) == 1
    assert api.credential_expiry(early + timedelta(minutes=2)) == early  # this plugin knows no better
    assert runs(tmp_path) == 2


def test_a_token_file_is_read_again_when_its_token_is_refused(opened: Opener, scripted: Scripted, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("old\n")
    scripted.script = accepting("old")
    api = opened(user={"tokenFile": "token"})
    assert api.version() == "v1.33.1"
    (tmp_path / "token").write_text("new\n")
    scripted.script = accepting("new")
    assert api.version() == "v1.33.1"


def test_a_write_is_repeated_after_a_renewal_since_it_had_not_arrived(opened: Opener, scripted: Scripted, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("old")
    api = opened(user={"tokenFile": "token"})
    assert api._transport.credentials.current().authorization == "Bearer old"
    (tmp_path / "token").write_text("new")

    def script(request: Request) -> Answer:
        if request.headers["authorization"] != "Bearer new":
            return Answer(401, {})
        return Answer(body={"status": {"allowed": True}}) if request.method == "POST" else Answer(404, {})

    scripted.script = script
    from bennu.ports.kubernetes import Kind

    assert api.can("get", Kind("v1", "Pod"))


def test_the_plugin_is_told_whether_it_may_ask_and_which_cluster_it_is_for(opened: Opener, scripted: Scripted, tmp_path: Path) -> None:
    api = opened(user=plugin(tmp_path, f"printf '%s' \"$KUBERNETES_EXEC_INFO\" > {tmp_path}/info\n" + credential(token="abc"), provideClusterInfo=True))
    api.version()
    spec = json.loads((tmp_path / "info").read_text())["spec"]
    assert spec["interactive"] is False
    assert spec["cluster"]["server"] == f"https://127.0.0.1:{scripted.port}"
    assert "certificate-authority-data" in spec["cluster"]


def test_without_input_no_browser_can_be_opened(opened: Opener, tmp_path: Path) -> None:
    script = (
        f'for b in "$BROWSER" xdg-open open; do "$b" https://login.example && echo opened >> {tmp_path}/opened; done\necho "$DISPLAY" > {tmp_path}/display\n'
    )
    opened(user=plugin(tmp_path, script + credential(token="abc")), manners=QUIET).version()
    assert not (tmp_path / "opened").exists()
    assert (tmp_path / "display").read_text() == "\n"


def test_a_plugin_that_always_asks_is_refused_where_nobody_answers(opened: Opener, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="interactiveMode: Always"):
        opened(user=plugin(tmp_path, credential(token="abc"), interactiveMode="Always"), manners=QUIET).version()
    assert not (tmp_path / "runs").exists()


def test_a_plugin_reads_nothing_from_the_terminal(opened: Opener, tmp_path: Path) -> None:
    opened(user=plugin(tmp_path, "read line && exit 9\n" + credential(token="abc")), manners=QUIET).version()


def test_only_the_plugins_that_are_allowed_are_run(opened: Opener, tmp_path: Path) -> None:
    user = plugin(tmp_path, credential(token="abc"))
    with pytest.raises(UsageError, match="does not allow") as caught:
        opened(user=user, manners=Manners(plugins=("aws",))).version()
    assert "aws" in caught.value.next_step
    assert not (tmp_path / "runs").exists()
    assert opened(user=user, manners=Manners(plugins=("get-token",))).version() == "v1.33.1"


def test_a_plugin_that_is_not_installed_is_named_with_its_hint(opened: Opener) -> None:
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-plugin", "installHint": "brew install no-such-plugin"}}
    with pytest.raises(UsageError, match=r"'no-such-plugin' .* is not installed") as caught:
        opened(user=user).version()
    assert caught.value.next_step == "brew install no-such-plugin"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'the SSO session has expired' >&2; exit 255", "the SSO session has expired"),
        ("echo 'token: s3cr3t'", "did not answer with an ExecCredential"),
        (credential(), "neither a token nor a certificate"),
        (credential(token="abc").replace("k8s.io/v1", "k8s.io/v1alpha1"), "v1alpha1"),
    ],
)
def test_a_plugin_that_fails_is_a_dependency_that_is_down(opened: Opener, tmp_path: Path, script: str, words: str) -> None:
    with pytest.raises(DependencyDown, match=words) as caught:
        opened(user=plugin(tmp_path, script)).version()
    assert "s3cr3t" not in str(caught.value)
