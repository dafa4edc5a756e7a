"""Kubeconfigs as people have them, and what is said of those that cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bennu.adapters import kubeconfig
from bennu.errors import ConfigError, UsageError
from tests.contract.kubernetes import configs
from tests.contract.kubernetes.pki import Authority

URL = "https://127.0.0.1:6443"


def written(tmp_path: Path, cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None) -> Path:
    return configs.write(tmp_path / "config", cluster if cluster is not None else {"server": URL}, user if user is not None else {"token": "t"})


def test_everything_that_leads_to_a_server_is_read(tmp_path: Path) -> None:
    ca = Authority().pem
    cluster = {
        "server": URL + "/",
        "certificate-authority-data": configs.encoded(ca),
        "tls-server-name": "api.internal",
        "proxy-url": "socks5://127.0.0.1:1080",
    }
    access = kubeconfig.load("lab-blue", [written(tmp_path, cluster)])
    assert access.server == kubeconfig.Server(URL, ca, "api.internal", "socks5://127.0.0.1:1080")
    assert access.user.secrets.token == "t"


def test_paths_are_relative_to_the_file_that_names_them(tmp_path: Path) -> None:
    ca = Authority().pem
    (tmp_path / "ca.crt").write_text(ca)
    access = kubeconfig.load("lab-blue", [written(tmp_path, {"server": URL, "certificate-authority": "ca.crt"}, {"tokenFile": "token"})])
    assert access.server.ca_pem == ca
    assert access.user.token_file == str(tmp_path / "token")


def test_several_files_are_merged_and_the_first_one_wins(tmp_path: Path) -> None:
    one = configs.write(tmp_path / "one", {"server": URL}, {"token": "first"})
    two = configs.write(tmp_path / "two", {"server": "https://127.0.0.1:7443"}, {"token": "second"})
    three = configs.write(tmp_path / "three", {"server": "https://127.0.0.1:8443"}, {"token": "green"}, "lab-green")
    files = [one, tmp_path / "missing", two, three]
    assert kubeconfig.load("lab-blue", files).server.url == URL
    assert kubeconfig.load("lab-green", files).user.secrets.token == "green"
    assert kubeconfig.contexts(files) == ("lab-blue", "lab-green")


def test_the_list_comes_from_the_environment(tmp_path: Path) -> None:
    found = kubeconfig.default_files({"KUBECONFIG": f"{tmp_path}/a:{tmp_path}/b"})
    assert found == (tmp_path / "a", tmp_path / "b")
    assert kubeconfig.default_files({}) == (Path("~/.kube/config").expanduser(),)


def test_an_unknown_context_is_answered_with_the_nearest_and_with_all(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no context 'lab-bleu'") as caught:
        kubeconfig.load("lab-bleu", [written(tmp_path)])
    assert "did you mean 'lab-blue'?" in caught.value.next_step
    assert caught.value.code == 2


def test_a_file_that_is_no_yaml_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("apiVersion: v1\ncontexts: [\n  {name: a\n")
    with pytest.raises(ConfigError) as caught:
        kubeconfig.load("lab-blue", [path])
    assert caught.value.file == str(path)
    assert caught.value.line is not None
    assert caught.value.line >= 3


@pytest.mark.parametrize("text", ["- a\n", "contexts: {}\n", "contexts: [1]\n", "contexts: [{name: lab-blue, context: 3}]\n", "\x00", "a: &a [*a"])
def test_what_is_no_kubeconfig_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(UsageError):
        kubeconfig.load("lab-blue", [path])


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        kubeconfig.load("lab-blue", [tmp_path / "missing"])


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        kubeconfig.load("lab-blue", [path])


@pytest.mark.parametrize(
    ("cluster", "words"),
    [
        ({"server": URL, "insecure-skip-tls-verify": True}, "insecure-skip-tls-verify"),
        ({"server": "http://10.0.0.1:8080"}, "plain http"),
        ({"server": "10.0.0.1"}, "no URL"),
        ({"server": URL, "proxy-url": "ftp://127.0.0.1"}, "proxy-url"),
        ({"server": URL, "certificate-authority-data": "%%%"}, "not base64"),
        ({"server": URL, "certificate-authority": "/does/not/exist"}, "cannot be read"),
        ({"server": 5}, "must be a text"),
    ],
)
def test_a_cluster_that_cannot_be_trusted_or_reached_is_refused_by_name(tmp_path: Path, cluster: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        kubeconfig.load("lab-blue", [written(tmp_path, cluster)])


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ({"auth-provider": {"name": "gcp"}}, "removed in 1.26"),
        ({"client-certificate-data": configs.encoded("x")}, "only one of"),
        ({"exec": {"args": ["a"]}}, "no command"),
        ({"exec": {"command": "aws", "interactiveMode": "Sometimes"}}, "interactiveMode"),
    ],
)
def test_a_user_that_cannot_authenticate_is_refused_by_name(tmp_path: Path, user: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        kubeconfig.load("lab-blue", [written(tmp_path, user=user)])


def test_a_context_that_names_nothing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("contexts: [{name: lab-blue, context: {cluster: gone, user: gone}}]\n")
    with pytest.raises(ConfigError, match="names the cluster 'gone'"):
        kubeconfig.load("lab-blue", [path])


def test_no_secret_shows_in_what_is_printed_of_an_access(tmp_path: Path) -> None:
    access = kubeconfig.load("lab-blue", [written(tmp_path, user={"token": "s3cr3t", "username": "u", "password": "pa55"})])
    assert "s3cr3t" not in repr(access)
    assert "pa55" not in repr(access)
