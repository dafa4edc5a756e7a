"""How a real remote fails: silent, suspicious, half-willing; and what a user is told."""

from __future__ import annotations

import base64
import threading
import time
from pathlib import Path

import pytest

from bennu.adapters.git import GitRepository, Remote
from bennu.adapters.git_process import plain
from bennu.adapters.requests_box import GitRequestBox
from bennu.errors import ConfigError, DependencyDown, GateRefused
from bennu.lab.shared import git_http
from bennu.ports.repository import Change, Edit
from tests.contract.git.cutting import cutting
from tests.contract.git.grounds import GROUP, record
from tests.contract.git.remotes import PASSWORD, SEED, STATE, Bare, Served, git, repository
from tests.contract.redis.servers import until

EDIT = Change((Edit(STATE, "ours\n"),), "Edit\n")


def bare_of(server: Served) -> Bare:
    return Bare(server.lab.root / "git" / "fleet.git")


def processes(word: str) -> dict[int, tuple[str, str]]:
    """Command line and environment of every process of this machine whose command line has *word*."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = folder.joinpath("cmdline").read_bytes().decode(errors="replace").replace("\x00", " ")
            if word in line:
                found[int(folder.name)] = (line, folder.joinpath("environ").read_bytes().decode(errors="replace"))
        except OSError:
            continue
    return found


def test_a_remote_that_never_answers_costs_the_time_limit_and_leaves_no_process(server: Served, tmp_path: Path) -> None:
    laptop = repository(tmp_path / "laptop", server.url(), timeout_s=1.0)
    laptop.fetch()
    server.lab.set_fault("git", "stall")
    assert "no answer within 1 s" in laptop.fetch().problem
    assert laptop.read(STATE) == SEED[STATE].decode()
    with pytest.raises(DependencyDown, match="no answer within 1 s"):
        laptop.advance(GROUP, "", (record(),), EDIT)
    assert GitRequestBox(laptop).pending(GROUP) == ()
    until(lambda: not processes(server.url()), "every git process has ended")
    server.lab.clear_fault("git")
    assert laptop.advance(GROUP, "", (record(),), EDIT).tip
    assert bare_of(server).count("refs/heads/main") == 2


def test_a_look_at_a_remote_that_never_answers_costs_no_more_than_it_is_given(server: Served, tmp_path: Path) -> None:
    laptop = repository(tmp_path / "laptop", server.url(), timeout_s=60.0)
    tip = laptop.advance(GROUP, "", (record(),)).tip
    server.lab.set_fault("git", "stall")
    begin = time.monotonic()
    assert "no answer within 1 s" in laptop.fetch(limit_s=1.0).problem
    with pytest.raises(DependencyDown, match="no answer within 1 s"):
        laptop.advance(GROUP, tip, (record(),), limit_s=1.0)
    assert time.monotonic() - begin < 30
    server.lab.clear_fault("git")
    assert laptop.fetch(limit_s=30.0).problem == ""


def test_a_first_fetch_from_a_remote_that_never_answers_ends_too(server: Served, tmp_path: Path) -> None:
    server.lab.set_fault("git", "stall")
    laptop = repository(tmp_path / "laptop", server.url(), timeout_s=1.0)
    with pytest.raises(DependencyDown, match=r"does not answer: .*too slow"):
        laptop.head()
    server.lab.clear_fault("git")
    assert laptop.read(STATE) == SEED[STATE].decode()


def test_a_wrong_password_is_said_without_a_prompt_and_without_the_password(
    server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, a_user_of_git: Path
) -> None:
    marker, asking = tmp_path / "was-asked", tmp_path / "ask"
    asking.write_text(f"#!/bin/sh\necho asked >> {marker}\necho typed\n")
    asking.chmod(0o755)
    monkeypatch.setenv("GIT_ASKPASS", str(asking))
    monkeypatch.setenv("SSH_ASKPASS", str(asking))
    git(tmp_path, "config", "--file", str(a_user_of_git), "credential.helper", f"!{asking}")
    laptop = repository(tmp_path / "laptop", server.url(), password="a-wrong-one")
    assert "refuses the credentials" in laptop.fetch().problem
    with pytest.raises(DependencyDown, match="refuses the credentials") as refused:
        laptop.head()
    assert refused.value.code == 8
    assert "credentials" in refused.value.next_step
    pair = base64.b64encode(f"{git_http.USER}:a-wrong-one".encode()).decode()
    assert not any(secret in text for secret in ("a-wrong-one", pair) for text in (str(refused.value), refused.value.next_step, laptop.fetch().problem))
    assert not marker.exists()


def test_a_password_that_expires_in_the_middle_stops_the_push(server: Served, tmp_path: Path) -> None:
    words = [PASSWORD]
    laptop = GitRepository(tmp_path / "laptop", Remote(server.url(), username=git_http.USER, password=lambda: words[0], no_input=True))
    tip = laptop.advance(GROUP, "", (record(),)).tip
    words[0] = "rotated"
    with pytest.raises(DependencyDown, match="refuses the credentials"):
        laptop.advance(GROUP, tip, (record(),), EDIT)
    words[0] = PASSWORD  # asked anew at each use
    laptop.advance(GROUP, tip, (record(),), EDIT)


def test_no_secret_is_among_arguments_or_in_the_clone(server: Served, tmp_path: Path) -> None:
    laptop = repository(tmp_path / "laptop", server.url(), timeout_s=20.0)
    laptop.advance(GROUP, "", (record(),), EDIT)
    server.lab.set_fault("git", "stall")
    looking = threading.Thread(target=laptop.fetch)
    looking.start()
    until(lambda: len(processes(server.url())) >= 2, "git and its transport wait for the remote")
    running = processes(server.url())
    server.lab.clear_fault("git")
    for pid in running:
        # What stalled stays stalled; end it instead of waiting for the limit.
        Path(f"/proc/{pid}/cmdline").exists() and __import__("os").kill(pid, 9)
    looking.join()
    pair = base64.b64encode(f"{git_http.USER}:{PASSWORD}".encode()).decode()
    assert not any(secret in line for line, _ in running.values() for secret in (PASSWORD, pair))
    assert any(pair in environment for _, environment in running.values()), "the credentials travel in the environment"
    for file in (tmp_path / "laptop").rglob("*"):
        if file.is_file():
            assert PASSWORD.encode() not in file.read_bytes()
            assert pair.encode() not in file.read_bytes()


@pytest.mark.parametrize("ref", ["refs/notes/", "refs/heads/"])
def test_a_hook_that_rejects_one_ref_rejects_both(bare: Bare, tmp_path: Path, ref: str) -> None:
    laptop = repository(tmp_path / "laptop", str(bare.path))
    tip = laptop.advance(GROUP, "", (record(),)).tip
    bare.hook("update", f'case "$1" in {ref}*) echo "no $1 here" >&2; exit 1;; esac')
    with pytest.raises(GateRefused, match=f"no {ref}"):
        laptop.advance(GROUP, tip, (record(),), EDIT)
    assert bare.tip(f"refs/notes/bennu/{GROUP}") == tip
    assert bare.count("refs/heads/main") == 1


def test_a_connection_cut_before_the_host_took_the_push_is_no_refusal(bare: Bare, tmp_path: Path) -> None:
    laptop = repository(tmp_path / "laptop", str(bare.path))
    tip = laptop.advance(GROUP, "", (record(),)).tip
    bare.hook("pre-receive", "rm $GIT_DIR/hooks/pre-receive; kill -9 $PPID")
    with pytest.raises(DependencyDown, match="does not answer") as cut:
        laptop.advance(GROUP, tip, (record(),), EDIT)
    assert cut.value.code == 8
    assert bare.tip(f"refs/notes/bennu/{GROUP}") == tip
    laptop.advance(GROUP, tip, (record(),), EDIT)
    assert bare.count("refs/heads/main") == 2


# Where the connection had been used before, curl asks once more by itself, and the host refuses what it has done already.
@pytest.mark.parametrize("times", [1, 9])
def test_an_answer_that_is_cut_off_after_the_host_did_the_push_is_looked_up_and_not_repeated(server: Served, tmp_path: Path, times: int) -> None:
    with cutting(server.port) as proxy:
        laptop = repository(tmp_path / "laptop", f"http://127.0.0.1:{proxy.port}/fleet.git")
        tip = laptop.advance(GROUP, "", (record("one"),)).tip
        proxy.left = times
        reached = laptop.advance(GROUP, tip, (record("two"),), EDIT)
        proxy.left = 0
        assert proxy.cut >= 1
        bare = bare_of(server)
        assert (bare.tip(), bare.tip(f"refs/notes/bennu/{GROUP}")) == (reached.commit, reached.tip)
        laptop.advance(GROUP, reached.tip, (record("three"),))
        assert [one.step for one in laptop.journal(GROUP).records] == ["one", "two", "three"]
        assert bare.count("refs/heads/main") == 2


def test_a_host_without_atomic_pushes_is_refused_by_name(bare: Bare, tmp_path: Path) -> None:
    git(bare.path, "config", "receive.advertiseAtomic", "false")
    with pytest.raises(GateRefused, match="does not support --atomic push"):
        repository(tmp_path / "laptop", str(bare.path)).advance(GROUP, "", (record(),), EDIT)
    assert bare.count("refs/heads/main") == 1


def test_a_ref_that_another_push_holds_at_the_host_is_tried_again_and_then_given_up(bare: Bare, tmp_path: Path) -> None:
    laptop = repository(tmp_path / "laptop", str(bare.path))
    tip = laptop.advance(GROUP, "", (record(),)).tip
    busy = bare.path / "refs" / "notes" / "bennu" / "prod" / "us-east-1.lock"
    busy.touch()
    laptop.before_push += [lambda: None, busy.unlink]
    reached = laptop.advance(GROUP, tip, (record(),), EDIT)
    assert bare.tip(f"refs/notes/bennu/{GROUP}") == reached.tip
    assert bare.count("refs/heads/main") == 2


def test_a_branch_that_is_not_there_is_a_matter_of_configuration(bare: Bare, tmp_path: Path) -> None:
    laptop = GitRepository(tmp_path / "laptop", Remote(str(bare.path), branch="trunk"))
    with pytest.raises(ConfigError, match="no branch trunk") as wrong:
        laptop.head()
    assert wrong.value.code == 2


def test_a_remote_that_is_no_repository_does_not_answer(tmp_path: Path) -> None:
    with pytest.raises(DependencyDown, match="does not answer") as down:
        repository(tmp_path / "laptop", str(tmp_path / "nothing.git")).head()
    assert down.value.code == 8


def test_a_remotes_words_cannot_drive_the_terminal_nor_show_a_token() -> None:
    assert plain("\x1b[2Jfatal: https://ada:s3cret@example.org/x.git\r") == "[2Jfatal: https://example.org/x.git"


def test_a_hooks_escape_sequences_do_not_reach_the_user(bare: Bare, tmp_path: Path) -> None:
    bare.hook("pre-receive", r"printf '\033[2Jwiped\n' >&2; exit 1")
    with pytest.raises(GateRefused, match="wiped") as refused:
        repository(tmp_path / "laptop", str(bare.path)).advance(GROUP, "", (record(),), EDIT)
    assert refused.value.message.isprintable()
