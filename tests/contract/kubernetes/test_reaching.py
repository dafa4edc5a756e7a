"""How the API server is reached: trust, names, proxies; and what is said where it is not."""

from __future__ import annotations

import base64
import socket
from pathlib import Path

import pytest

from bennu.adapters.kubernetes import KubernetesApi
from bennu.errors import ConfigError, DependencyDown
from tests.contract.kubernetes import configs
from tests.contract.kubernetes.conftest import QUICK, Opener, fine
from tests.contract.kubernetes.pki import Authority
from tests.contract.kubernetes.scripted import Scripted, http_proxy, serving, socks5_proxy


def test_a_server_signed_by_the_kubeconfigs_authority_is_trusted(opened: Opener, scripted: Scripted) -> None:
    api = opened()
    assert api.version() == "v1.33.1"
    assert scripted.requests[0].headers["authorization"] == "Bearer s3cr3t"
    assert api.endpoint()[0] == f"https://127.0.0.1:{scripted.port}"
    assert "BEGIN CERTIFICATE" in api.endpoint()[1]


def test_a_server_of_another_authority_is_not_asked_anything(opened: Opener, scripted: Scripted) -> None:
    api = opened({"certificate-authority-data": configs.encoded(Authority("another").pem)})
    with pytest.raises(DependencyDown, match="its certificate is not trusted"):
        api.version()
    assert scripted.requests == []


def test_no_environment_variable_widens_whom_is_trusted(
    opened: Opener, scripted: Scripted, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(authority.pem)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, str(bundle))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    with pytest.raises(DependencyDown, match="not trusted"):
        opened({"certificate-authority-data": configs.encoded(Authority("another").pem)}).version()
    assert scripted.requests == []


def test_an_authority_that_is_no_certificate_is_a_configuration_error(opened: Opener) -> None:
    with pytest.raises(ConfigError, match="no PEM certificate"):
        opened({"certificate-authority-data": configs.encoded("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n")}).version()


def test_tls_server_name_is_what_the_certificate_must_say(authority: Authority, tmp_path: Path) -> None:
    with serving(fine, authority.server("api.internal")) as server:
        cluster = {"server": f"https://127.0.0.1:{server.port}", "certificate-authority-data": configs.encoded(authority.pem)}
        plain = configs.write(tmp_path / "plain", cluster, {})
        named = configs.write(tmp_path / "named", {**cluster, "tls-server-name": "api.internal"}, {})
        assert KubernetesApi.of("lab-blue", [named], patience=QUICK).version() == "v1.33.1"
        with pytest.raises(DependencyDown, match="tls-server-name"):
            KubernetesApi.of("lab-blue", [plain], patience=QUICK).version()


def test_an_http_proxy_of_the_kubeconfig_is_gone_through(opened: Opener, scripted: Scripted) -> None:
    with http_proxy() as proxy:
        assert opened({"proxy-url": proxy.url}).version() == "v1.33.1"
        assert proxy.targets == [("127.0.0.1", scripted.port)]


def test_a_proxy_that_wants_a_user_gets_the_one_of_the_url(opened: Opener) -> None:
    credential = base64.b64encode(b"me:pa/ss").decode()
    with http_proxy(credential) as proxy:
        assert opened({"proxy-url": proxy.url.replace("://", "://me:pa%2Fss@")}).version() == "v1.33.1"
        with pytest.raises(DependencyDown, match="proxy") as caught:
            opened({"proxy-url": proxy.url.replace("://", "://me:wrong-one@")}).version()
        assert "wrong-one" not in str(caught.value)


def test_a_socks5_proxy_resolves_the_servers_name(scripted: Scripted, opened: Opener) -> None:
    with socks5_proxy() as proxy:
        api = opened({"proxy-url": proxy.url, "server": f"https://bastion-only.internal:{scripted.port}", "tls-server-name": "localhost"})
        assert api.version() == "v1.33.1"
        assert proxy.targets == [("bastion-only.internal", scripted.port)]


def test_a_proxy_that_is_gone_is_named(opened: Opener) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(DependencyDown, match=f"through the proxy http://127.0.0.1:{port}"):
        opened({"proxy-url": f"http://127.0.0.1:{port}"}).version()


def test_a_loopback_server_is_never_looked_for_behind_the_environments_proxy(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    assert opened().version() == "v1.33.1"


def test_the_environments_proxy_is_used_where_the_kubeconfig_names_none(opened: Opener, scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = {"server": f"https://api.internal:{scripted.port}", "tls-server-name": "localhost"}
    with http_proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        assert opened(remote).version() == "v1.33.1"
        assert proxy.targets == [("api.internal", scripted.port)]
        monkeypatch.setenv("NO_PROXY", ".internal")
        with pytest.raises(DependencyDown):
            opened(remote).version()
        assert len(proxy.targets) == 1


def test_nobody_listening_is_a_dependency_that_is_down_with_the_next_command(opened: Opener) -> None:
    with pytest.raises(DependencyDown, match=r"the API of lab-blue .* does not answer \(its version\): Connection refused") as caught:
        opened({"server": "https://127.0.0.1:1"}).version()
    assert caught.value.next_step == "check it: kubectl --context lab-blue version"


def test_a_client_certificate_is_shown_to_the_server(authority: Authority, tmp_path: Path) -> None:
    me = authority.client("admin")
    with serving(fine, authority.server("127.0.0.1"), client_ca=authority.pem) as server:
        cluster = {"server": f"https://127.0.0.1:{server.port}", "certificate-authority-data": configs.encoded(authority.pem)}
        user = {"client-certificate-data": configs.encoded(me.certificate), "client-key-data": configs.encoded(me.key)}
        assert KubernetesApi.of("lab-blue", [configs.write(tmp_path / "with", cluster, user)], patience=QUICK).version() == "v1.33.1"
        with pytest.raises(DependencyDown):
            KubernetesApi.of("lab-blue", [configs.write(tmp_path / "without", cluster, {})], patience=QUICK).version()
        wrong = {**user, "client-key-data": configs.encoded(authority.client("other").key)}
        with pytest.raises(ConfigError, match="do not fit"):
            KubernetesApi.of("lab-blue", [configs.write(tmp_path / "wrong", cluster, wrong)], patience=QUICK).version()
