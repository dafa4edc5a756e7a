"""Bennu's own clone: what it survives, and what it leaves alone."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bennu.adapters.git_process import finished
from bennu.errors import DurableStateError, StoppedSafe, UsageError
from bennu.ports.repository import Change, Edit
from tests.contract.git.grounds import GROUP, record
from tests.contract.git.remotes import FOLDER, SEED, STATE, Bare, Watched, git, repository

EDIT = Change((Edit(STATE, "ours\n"),), "Edit\n")


@pytest.fixture
def laptop(bare: Bare, tmp_path: Path) -> Watched:
    found = repository(tmp_path / "laptop", str(bare.path))
    found.fetch()
    return found


def again(laptop: Watched, tmp_path: Path) -> Watched:
    """Another process on the same clone."""
    return repository(tmp_path / "laptop", laptop.clone.remote.url, timeout_s=laptop.clone.remote.timeout_s)


def test_the_clone_is_private_and_bare(laptop: Watched) -> None:
    assert laptop.clone.path.stat().st_mode & 0o777 == 0o700
    assert git(laptop.clone.path, "rev-parse", "--is-bare-repository").strip() == "true"
    assert not any((laptop.clone.path / "hooks").glob("*"))


def test_lock_files_left_by_a_git_that_was_killed_are_in_nobodys_way(laptop: Watched, bare: Bare, tmp_path: Path) -> None:
    tip = laptop.advance(GROUP, "", (record(),)).tip
    path = laptop.clone.path
    left = [path / "refs/bennu/branch.lock", path / "refs/notes/bennu/prod/us-east-1.lock", path / "packed-refs.lock", path / "HEAD.lock"]
    for file in left:
        file.touch()
    bare.commit("Beside", {"README.md": b"theirs\n"})
    second = again(laptop, tmp_path)
    assert second.fetch().problem == ""
    assert second.read("README.md") == "theirs\n"
    for file in left:
        file.touch()
    second.advance(GROUP, tip, (record(),), EDIT)
    assert again(laptop, tmp_path).read(STATE) == "ours\n"


def test_a_lock_that_another_process_still_holds_is_waited_for_and_never_broken(laptop: Watched, bare: Bare, tmp_path: Path) -> None:
    bare.commit("Beside", {"README.md": b"theirs\n"})
    left = laptop.clone.path / "refs/bennu/branch.lock"
    left.touch()
    with (laptop.clone.path / "bennu-writing").open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        freshness = repository(tmp_path / "laptop", str(bare.path), timeout_s=0.3).fetch()
        assert "another bennu on this machine" in freshness.problem
        assert isinstance(freshness.cause, StoppedSafe)
        assert left.exists()
    assert laptop.fetch().problem == ""
    assert laptop.read("README.md") == "theirs\n"


def test_a_clone_that_was_removed_is_made_anew(laptop: Watched, tmp_path: Path) -> None:
    tip = laptop.advance(GROUP, "", (record(),), EDIT).tip
    laptop.clone.path.rename(tmp_path / "gone")
    second = again(laptop, tmp_path)
    assert second.fetch().problem == ""
    assert second.read(STATE) == "ours\n"
    assert second.journal(GROUP).tip == tip


def test_a_clone_that_was_never_finished_is_finished(bare: Bare, tmp_path: Path) -> None:
    laptop = repository(tmp_path / "laptop", str(bare.path))
    (laptop.clone.path / "refs").mkdir(parents=True)
    assert laptop.read(STATE) == SEED[STATE].decode()


def test_a_damaged_object_is_never_taken_for_a_missing_file(laptop: Watched, bare: Bare, tmp_path: Path) -> None:
    mode_and_id = bare.tree()[STATE]
    object_file = laptop.clone.path / "objects" / mode_and_id[1][:2] / mode_and_id[1][2:]
    content = object_file.read_bytes()
    object_file.chmod(0o644)
    for damage in (content[:10], b""):
        object_file.write_bytes(damage)
        with pytest.raises(DurableStateError, match=r"Bennu's clone .* (cannot|lacks)") as damaged:
            again(laptop, tmp_path).read(STATE)
        assert damaged.value.code == 9
        assert f"mv {laptop.clone.path} {laptop.clone.path}.damaged" in damaged.value.next_step
    object_file.unlink()
    with pytest.raises(DurableStateError, match="lacks blob"):
        again(laptop, tmp_path).read(STATE)


@pytest.mark.parametrize("file", ["config", "HEAD"])
def test_a_clone_whose_files_are_rubbish_is_named(laptop: Watched, tmp_path: Path, file: str) -> None:
    (laptop.clone.path / file).write_bytes(b"\x00rubbish [[[\n")
    with pytest.raises(DurableStateError, match=r"cannot be") as damaged:
        second = again(laptop, tmp_path)
        second.fetch()
        second.read(STATE)
    assert str(laptop.clone.path) in damaged.value.next_step


def test_the_test_ref_of_a_colleagues_doctor_stays_out_of_our_clone(laptop: Watched, bare: Bare, tmp_path: Path) -> None:
    colleague = repository(tmp_path / "colleague", str(bare.path))
    colleague.before_push = [lambda: None, laptop.fetch]
    assert colleague.probe_notes(GROUP) == ""
    assert not colleague.before_push
    assert git(laptop.clone.path, "for-each-ref", "--format=%(refname)").split() == ["refs/bennu/branch"]


def test_a_journal_line_that_is_none_is_refused_and_a_newer_one_by_name(laptop: Watched, bare: Bare) -> None:
    ref = f"refs/notes/bennu/{GROUP}"
    bare.commit('by hand\n\n{"v":99,"kind":"done"}', {"a" * 40: b"{}\n"}, ref=ref, onto="")
    laptop.fetch()
    with pytest.raises(DurableStateError, match="newer Bennu"):
        laptop.journal(GROUP)
    bare.commit("by hand\n\nno JSON at all", {"a" * 40: b"{}\n"}, ref=ref)
    laptop.fetch()
    with pytest.raises(DurableStateError):
        laptop.journal(GROUP)


def test_the_users_checkout_is_not_touched_not_even_from_a_hook_in_it(bare: Bare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = tmp_path / "checkout"
    git(tmp_path, "clone", "--quiet", str(bare.path), str(checkout))
    (checkout / STATE).write_text("my own, unfinished edit\n")
    git(checkout, "add", STATE)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"") for path in checkout.rglob("*")}
    monkeypatch.chdir(checkout)
    monkeypatch.setenv("GIT_DIR", str(checkout / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(checkout))
    monkeypatch.setenv("GIT_INDEX_FILE", str(checkout / ".git" / "index"))
    laptop = repository(tmp_path / "laptop", str(bare.path))
    laptop.advance(GROUP, "", (record(),), EDIT)
    laptop.fetch()
    assert laptop.read(STATE) == "ours\n"
    assert {path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"") for path in checkout.rglob("*")} == before


def test_a_users_own_taste_in_configuration_changes_nothing(bare: Bare, tmp_path: Path, a_user_of_git: Path) -> None:
    bare.commit("Signed with a colour", {"README.md": b"1\n"})
    git(bare.path, "-c", "user.name=x", "-c", "user.email=x@y", "tag", "-a", "-m", "v1", "v1")
    tastes = {
        "color.ui": "always",
        "log.showSignature": "true",
        "fetch.prune": "true",
        "fetch.pruneTags": "true",
        "fetch.output": "compact",
        "push.followTags": "true",
        "push.default": "nothing",
        "safe.bareRepository": "explicit",
        "core.autocrlf": "true",
        "core.quotePath": "true",
        "core.pager": "false",
        "format.pretty": "raw",
        "core.logAllRefUpdates": "always",
        "submodule.recurse": "true",
        "i18n.commitEncoding": "ISO-8859-1",
        "notes.displayRef": "refs/notes/*",
    }
    for name, value in tastes.items():
        git(bare.path, "config", "--file", str(a_user_of_git), name, value)
    laptop = repository(tmp_path / "laptop", str(bare.path))
    change = Change((Edit(f"{FOLDER}/ä*.yaml", "a: 1\r\n"), Edit(STATE, "ö\n")), "Über\n\nBennu-Step: ü\n")
    tip = laptop.advance(GROUP, "", (record(),), change).tip
    laptop.advance(GROUP, tip, (record(),))
    second = repository(tmp_path / "other", str(bare.path))
    assert second.fetch().problem == ""
    assert len(second.journal(GROUP).records) == 2
    newest = second.log((f"{FOLDER}/ä*.yaml",))
    assert [(one.subject, one.trailers) for one in newest] == [("Über", {"Bennu-Step": "ü"})]
    assert bare.content(f"{FOLDER}/ä*.yaml") == b"a: 1\r\n"
    bare.commit("Force", {"README.md": b"all new\n"}, onto="")
    with pytest.raises(DurableStateError, match="rewritten"):
        second.fetch()


def test_a_ctrl_c_at_the_terminal_does_not_reach_a_push(bare: Bare, tmp_path: Path) -> None:
    # A process group as a shell makes it: the signal goes to Bennu and to all its children that are in it.
    script = f"""
import os, signal, sys
from pathlib import Path
from tests.contract.git.grounds import GROUP, record
from tests.contract.git.remotes import repository
os.setpgid(0, 0)
signal.signal(signal.SIGINT, lambda *_: None)
signal.signal(signal.SIGHUP, lambda *_: None)
laptop = repository(Path({str(tmp_path / "laptop")!r}), {str(bare.path)!r})
laptop.fetch()
print(os.getpid(), flush=True)
print(laptop.advance(GROUP, "", (record(),)).tip, flush=True)
"""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    bare.hook("pre-receive", f"cat {gate} > /dev/null")
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        group = int(process.stdout.readline())
        with gate.open("w"):  # opens when the hook reads: the push is under way
            os.killpg(group, signal.SIGINT)
            os.killpg(group, signal.SIGHUP)
        assert process.stdout.readline().decode().strip() == bare.tip(f"refs/notes/bennu/{GROUP}") != ""
        assert process.wait(30) == 0


def test_without_git_the_user_is_told_what_to_install(bare: Bare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    laptop = repository(tmp_path / "laptop", str(bare.path))
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(UsageError, match="no git on PATH"):
        laptop.fetch()


def test_a_daemon_that_a_command_leaves_behind_is_not_waited_for(tmp_path: Path) -> None:
    # As an ssh master does: it keeps the command's standard error open for long after.
    git(tmp_path, "init", "--quiet", "--bare", "left.git")
    pidfile = tmp_path / "pid"
    ran = finished(tmp_path / "left.git", ("-c", f"alias.leave=!setsid sleep 600 & echo $! > {pidfile}", "leave"), {}, limit_s=60)
    os.kill(int(pidfile.read_text()), signal.SIGKILL)
    assert ran.ok


def test_a_branch_that_was_rewritten_is_found_by_a_laptop_that_never_saw_the_old_one(laptop: Watched, bare: Bare, tmp_path: Path) -> None:
    tip = laptop.advance(GROUP, "", (record(),), Change((Edit(STATE, "ours\n"),), "Edit\n"))
    bare.commit("Another beginning", {"README.md": b"all new\n"}, onto="")
    fresh = repository(tmp_path / "another", str(bare.path))
    fresh.fetch()
    with pytest.raises(DurableStateError, match="refs/heads/main was rewritten") as found:
        fresh.journal(GROUP)
    assert found.value.code == 9
    assert {tip.commit, bare.tip()} <= set(found.value.message.replace(",", "").split())
    assert f"git push --force <remote> {tip.commit}:refs/heads/main" in found.value.next_step
    assert "git merge -s ours" in found.value.next_step
    with pytest.raises(DurableStateError, match="refs/heads/main was rewritten") as seen:
        laptop.fetch()
    assert (seen.value.message, seen.value.next_step.replace("laptop", "another")) == (found.value.message, found.value.next_step)
    # Somebody decides for the new one, in the way that was said.
    tree = git(bare.path, "rev-parse", "main^{tree}").strip()
    both = git(
        bare.path, "-c", "user.name=x", "-c", "user.email=x@y", "commit-tree", tree, "-p", bare.tip(), "-p", tip.commit, "-m", "Keep the new one"
    ).strip()
    git(bare.path, "update-ref", "refs/heads/main", both)
    for one in (laptop, repository(tmp_path / "third", str(bare.path))):
        one.fetch()
        assert len(one.journal(GROUP).records) == 1
        assert one.read("README.md") == "all new\n"
