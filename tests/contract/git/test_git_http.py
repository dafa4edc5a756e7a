"""The lab's Git host: what plain git and plain HTTP get from it."""

from __future__ import annotations

import base64
import gzip
import os
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from bennu.lab.shared.git_http import USER
from tests.contract.git.remotes import PASSWORD, STATE, Bare, Served, git

LS_REFS = b"0014command=ls-refs\n0000"


def authorised(password: str = PASSWORD, user: str = USER) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def asked(server: Served, path: str, headers: dict[str, str] | None = None, body: bytes | None = None) -> tuple[int, bytes]:
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", data=body, headers=headers if headers is not None else authorised())
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.fixture
def url(server: Served) -> str:
    """With the credentials in it, as plain git wants them."""
    return server.url().replace("http://", f"http://{USER}:{PASSWORD}@")


@pytest.mark.parametrize(
    "headers",
    [{}, authorised("wrong"), authorised(""), authorised(user="root"), {"Authorization": PASSWORD}, {"Authorization": "Basic \xfc"}],
)
def test_nobody_gets_in_without_the_password(server: Served, headers: dict[str, str]) -> None:
    status, body = asked(server, "/fleet.git/info/refs?service=git-upload-pack", headers)
    assert status == 401
    assert b"refs" not in body


def test_plain_git_is_asked_for_the_password_and_told_when_it_is_wrong(server: Served, tmp_path: Path) -> None:
    env = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true"}
    ran = subprocess.run(["git", "ls-remote", server.url()], capture_output=True, text=True, env=env, check=False)
    assert ran.returncode != 0
    assert "Authentication failed" in ran.stderr


def test_plain_git_clones_pushes_and_deletes(server: Served, url: str, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    git(tmp_path, "clone", "--quiet", url, str(checkout))
    (checkout / STATE).write_text("mine\n")
    git(checkout, "-c", "user.name=x", "-c", "user.email=x@y", "commit", "--quiet", "--all", "--message", "Edit")
    git(checkout, "push", "--quiet", "--atomic", "origin", "HEAD:main", "HEAD:refs/notes/a/b")
    bare = Bare(server.lab.root / "git" / "fleet.git")
    assert bare.content(STATE) == b"mine\n"
    assert bare.tip("refs/notes/a/b") == bare.tip()
    git(checkout, "push", "--quiet", "origin", ":refs/notes/a/b")
    assert bare.tip("refs/notes/a/b") == ""


def test_a_push_larger_than_gits_buffer_arrives(server: Served, url: str, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    git(tmp_path, "clone", "--quiet", url, str(checkout))
    large = os.urandom(3_000_000)  # beyond http.postBuffer: git sends it in chunks, without a length
    (checkout / "large.bin").write_bytes(large)
    git(checkout, "add", "large.bin")
    git(checkout, "-c", "user.name=x", "-c", "user.email=x@y", "commit", "--quiet", "--message", "Large")
    git(checkout, "push", "--quiet", "origin", "HEAD:main")
    git(tmp_path, "clone", "--quiet", url, str(tmp_path / "again"))
    assert (tmp_path / "again" / "large.bin").read_bytes() == large


def test_protocol_two_and_compressed_questions_are_understood(server: Served) -> None:
    headers = {**authorised(), "Git-Protocol": "version=2"}
    status, body = asked(server, "/fleet.git/info/refs?service=git-upload-pack", headers)
    assert (status, b"version 2" in body) == (200, True)
    question = {**headers, "Content-Type": "application/x-git-upload-pack-request"}
    plain = asked(server, "/fleet.git/git-upload-pack", question, LS_REFS)
    packed = asked(server, "/fleet.git/git-upload-pack", {**question, "Content-Encoding": "gzip"}, gzip.compress(LS_REFS))
    assert plain[0] == 200
    assert b"refs/heads/main" in plain[1]
    assert packed == plain


@pytest.mark.parametrize(
    "path", ["/../git-password", "/%2e%2e/git-password", "/fleet.git/../../git-password", "//etc/passwd", "/fleet.git/config", "/fleet.git/hooks/x", "/"]
)
def test_nothing_but_a_repositorys_own_services_is_served(server: Served, path: str) -> None:
    status, body = asked(server, path)
    assert status in (403, 404, 500)
    assert PASSWORD.encode() not in body
    assert b"[core]" not in body


def test_a_repository_that_is_not_there_is_a_404(server: Served) -> None:
    assert asked(server, "/other.git/info/refs?service=git-upload-pack")[0] == 404


def test_a_broken_host_answers_503_until_it_is_healed(server: Served) -> None:
    refs = "/fleet.git/info/refs?service=git-upload-pack"
    server.lab.set_fault("git", "down")
    assert asked(server, refs)[0] == 503
    server.lab.clear_fault("git")
    assert asked(server, refs)[0] == 200


def test_the_lab_users_own_git_configuration_does_not_reach_the_host(server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[transfer]\n\thideRefs = refs\n")
    monkeypatch.setenv("HOME", str(home))
    assert b"refs/heads/main" in asked(server, "/fleet.git/info/refs?service=git-upload-pack")[1]


def test_a_backend_that_says_nothing_is_an_error_and_no_empty_success(server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "bin" / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    status, body = asked(server, "/fleet.git/info/refs?service=git-upload-pack")
    assert (status, b"status 3" in body) == (500, True)
