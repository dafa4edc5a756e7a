"""What a commit of Bennu's is, in real Git: nothing but its edits, in the user's name, signed where the user signs."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from bennu.adapters.git import GitRepository, Remote
from bennu.adapters.requests_box import GitRequestBox
from bennu.core.record import Kind
from bennu.errors import GateRefused, StoppedSafe, UsageError
from bennu.ports.repository import Change, Edit, Request
from tests.contract.git.grounds import GROUP, record
from tests.contract.git.remotes import FOLDER, SCRIPT, SEED, STATE, Bare, Watched, git, repository

JOURNAL = f"refs/notes/bennu/{GROUP}"


@pytest.fixture
def laptop(bare: Bare, tmp_path: Path) -> Watched:
    return repository(tmp_path / "laptop", str(bare.path))


def made(laptop: Watched, *edits: tuple[str, str | None], message: str = "Edit\n") -> str:
    change = Change(tuple(Edit(path, text) for path, text in edits), message)
    return laptop.advance(GROUP, laptop.journal(GROUP).tip, (record(),), change).commit


def test_an_edited_script_stays_executable_and_a_new_file_is_plain(laptop: Watched, bare: Bare) -> None:
    made(laptop, (SCRIPT, "#!/bin/sh\nexit 1\n"), (f"{FOLDER}/new.yaml", "a: 1\n"))
    assert bare.tree()[SCRIPT][0] == "100755"
    assert bare.content(SCRIPT) == b"#!/bin/sh\nexit 1\n"
    assert bare.tree()[f"{FOLDER}/new.yaml"][0] == "100644"


def test_every_file_that_no_edit_names_keeps_its_object_and_mode(laptop: Watched, bare: Bare) -> None:
    before = bare.tree()
    made(laptop, (STATE, "new\n"))
    after = bare.tree()
    assert {path for path in after if after[path] != before[path]} == {STATE}
    assert after.keys() == before.keys()
    assert all(bare.content(path) == content for path, content in SEED.items() if path != STATE)


def test_bytes_that_are_no_text_can_be_copied(laptop: Watched, bare: Bare) -> None:
    logo = laptop.read(f"{FOLDER}/logo.png")
    assert logo is not None
    made(laptop, (f"{FOLDER}/links/logo.png", logo))
    assert bare.content(f"{FOLDER}/links/logo.png") == bytes(range(256))
    assert laptop.diff((Edit(f"{FOLDER}/logo.png", None),)) == f"Binary files a/{FOLDER}/logo.png and /dev/null differ\n"


def test_objects_stand_up_to_gits_own_strictest_check(laptop: Watched, bare: Bare) -> None:
    # Names whose order differs between "as bytes" and "as Git sorts folders", and one that is not ASCII.
    names = ["a", "a.b", "a-b/c", "a0", "b/c/d", "b.c", "b-c", "Ä/ö"]
    made(laptop, *((f"{FOLDER}/{name}", f"{name}\n" * 4000) for name in names))
    made(laptop, (f"{FOLDER}/b/c/d", None), (f"{FOLDER}/a", None), (f"{FOLDER}/a/b", "now a folder\n"))
    git(bare.path, "fsck", "--strict", "--no-dangling")
    assert {path for path in bare.tree() if path.startswith(FOLDER)} == {path for path in SEED if path.startswith(FOLDER)} | {
        f"{FOLDER}/{name}" for name in ["a/b", "a.b", "a-b/c", "a0", "b.c", "b-c", "Ä/ö"]
    }


def test_a_folder_whose_last_file_goes_is_gone(laptop: Watched, bare: Bare) -> None:
    made(laptop, *((path, None) for path in SEED if path.startswith(FOLDER)))
    assert set(bare.tree()) == {"catalogs/redis/base.yaml", "README.md"}
    assert git(bare.path, "ls-tree", "--name-only", "main").split() == ["README.md", "catalogs"]


def test_a_symbolic_link_and_a_folder_are_not_written_through(laptop: Watched, bare: Bare) -> None:
    blob = git(bare.path, "hash-object", "-w", "--stdin", given=b"../../outside").strip()
    stream = f"commit refs/heads/main\ncommitter A <a@b> 1700000000 +0000\ndata 4\nlink\nfrom {bare.tip()}\nM 120000 {blob} {FOLDER}/link.yaml\n"
    git(bare.path, "fast-import", "--quiet", given=stream.encode())
    for path in (f"{FOLDER}/link.yaml", f"{FOLDER}/link.yaml/below", FOLDER, f"{STATE}/below"):
        with pytest.raises(GateRefused, match="plain files"):
            made(laptop, (path, "a: 1\n"))
    assert bare.count("refs/heads/main") == 2


def test_a_colleagues_change_that_a_merge_put_out_of_sight_still_stops_us(laptop: Watched, bare: Bare) -> None:
    base = laptop.head()
    side = bare.commit("Edit by hand", {STATE: b"theirs\n"}, ref="refs/heads/side", onto=base)
    tree = git(bare.path, "rev-parse", f"{base}^{{tree}}").strip()
    merge = git(bare.path, "-c", "user.name=x", "-c", "user.email=x@y", "commit-tree", tree, "-p", base, "-p", side, "-m", "Merge, ours").strip()
    git(bare.path, "update-ref", "refs/heads/main", merge)
    with pytest.raises(StoppedSafe, match="'Merge, ours'"):
        made(laptop, (STATE, "ours\n"))
    assert side in {one.id for one in laptop.log((STATE,), since=base)}


def test_the_journal_is_read_beside_the_commits_by_plain_git(laptop: Watched, bare: Bare) -> None:
    made(laptop, (STATE, "new\n"))
    laptop.advance(GROUP, laptop.journal(GROUP).tip, (record("second-step"),))
    shown = git(bare.path, "log", "--notes=bennu/prod/us-east-1", "--max-count=1")
    assert '"step":"a-step"' in shown
    assert '"step":"second-step"' in shown
    # A holder that waits for a night is in the journal, and not in everybody's log.
    laptop.advance(GROUP, laptop.journal(GROUP).tip, (record("", kind=Kind.HEARTBEAT),))
    assert git(bare.path, "log", "--notes=bennu/prod/us-east-1", "--max-count=1") == shown
    elsewhere = repository(laptop.clone.path.parents[2] / "elsewhere", str(bare.path))
    elsewhere.fetch()
    assert [one.kind for one in elsewhere.journal(GROUP).records] == [Kind.DONE, Kind.DONE, Kind.HEARTBEAT]
    git(bare.path, "fsck", "--strict", "--no-dangling")


def test_signing_without_a_key_is_a_clear_error_and_nothing_lands(laptop: Watched, bare: Bare, a_user_of_git: Path) -> None:
    git(bare.path, "config", "--file", str(a_user_of_git), "commit.gpgsign", "true")
    git(bare.path, "config", "--file", str(a_user_of_git), "gpg.format", "ssh")
    git(bare.path, "config", "--file", str(a_user_of_git), "user.signingkey", "/nowhere/id_ed25519")
    with pytest.raises(UsageError, match="could not sign") as refused:
        made(laptop, (STATE, "new\n"))
    assert refused.value.code == 2
    assert "user.signingkey" in refused.value.next_step
    assert bare.count("refs/heads/main") == 1
    assert bare.tip("refs/notes/bennu/prod/us-east-1") == ""


def signed(bare: Bare, ref: str) -> bool:
    return "\ngpgsig -----BEGIN" in git(bare.path, "cat-file", "commit", ref)


@pytest.fixture
def key(bare: Bare, a_user_of_git: Path, tmp_path: Path) -> Path:
    """An ssh key that the user signs with; the file of allowed signers lies beside it."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed")
    found = tmp_path / "id_ed25519"
    os.spawnvp(os.P_WAIT, "ssh-keygen", ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(found)])
    for name, value in {"commit.gpgsign": "yes", "gpg.format": "ssh", "user.signingkey": str(found)}.items():
        git(bare.path, "config", "--file", str(a_user_of_git), name, value)
    (tmp_path / "signers").write_text(f"operator@example.org {found.with_suffix('.pub').read_text()}")
    return found


def test_commits_and_notes_are_signed_where_the_user_signs(laptop: Watched, bare: Bare, key: Path) -> None:
    commit = made(laptop, (STATE, "new\n"), message="Signed\n\nBennu-Step: a\n")
    made(laptop, (STATE, "newer\n"))
    GitRequestBox(laptop).post(GROUP, Request("one", "promote", "ada@there", "2026-01-01T00:00:00+00:00", {}))
    assert bare.content(STATE) == b"newer\n"
    notes = git(bare.path, "rev-list", JOURNAL).split()
    requests = git(bare.path, "rev-list", f"refs/notes/bennu-requests/{GROUP}").split()
    assert (len(notes), len(requests)) == (2, 1)
    for one in (commit, *notes, *requests):
        git(bare.path, "-c", f"gpg.ssh.allowedSignersFile={key.parent / 'signers'}", "verify-commit", one)
    assert [one.step for one in laptop.journal(GROUP).records] == ["a-step", "a-step"]
    assert laptop.probe_notes(GROUP) == ""


@pytest.mark.parametrize(("wanted", "commits", "expected"), [("auto", "no", False), ("never", "yes", False), ("always", "no", True)])
def test_whether_notes_are_signed_can_be_said(bare: Bare, key: Path, a_user_of_git: Path, tmp_path: Path, wanted: str, commits: str, expected: bool) -> None:
    git(bare.path, "config", "--file", str(a_user_of_git), "commit.gpgsign", commits)
    laptop = GitRepository(tmp_path / "laptop", Remote(str(bare.path), sign_notes=wanted))
    commit = laptop.advance(GROUP, "", (record(),), Change((Edit(STATE, "new\n"),), "Edit\n")).commit
    assert signed(bare, commit) == (commits == "yes")
    assert signed(bare, JOURNAL) == expected


@pytest.mark.parametrize("given", ["literal", "public file", "private file", "unknown"])
def test_a_key_that_wants_a_touch_each_time_is_spared_the_notes(bare: Bare, key: Path, a_user_of_git: Path, tmp_path: Path, given: str) -> None:
    # The signer is a program of the test's: a FIDO key itself cannot be had here, and what is told from is its public half.
    public = f"sk-ssh-ed25519@openssh.com {base64.b64encode(b'sk-ssh-ed25519@openssh.com').decode()} ada"
    touch = tmp_path / "id_sk"
    if given == "public file":
        touch.with_suffix(".pub").write_text(public)
    body = base64.b64encode(b"openssh-key-v1 sk-ssh-ed25519@openssh.com").decode()
    touch.write_text(f"-----BEGIN OPENSSH PRIVATE KEY-----\n{body}\n-----END OPENSSH PRIVATE KEY-----\n")
    signer = tmp_path / "signer"
    signer.write_text(f'#!/bin/sh\nfor last; do :; done\nexec ssh-keygen -Y sign -n git -f {key} "$last"\n')
    signer.chmod(0o755)
    said = {"literal": f"key::{public}", "public file": str(touch), "private file": str(touch), "unknown": str(tmp_path / "nothing")}[given]
    for name, value in {"gpg.ssh.program": str(signer), "user.signingkey": said}.items():
        git(bare.path, "config", "--file", str(a_user_of_git), name, value)
    laptop = GitRepository(tmp_path / "laptop", Remote(str(bare.path)))
    commit = laptop.advance(GROUP, "", (record(),), Change((Edit(STATE, "new\n"),), "Edit\n")).commit
    assert signed(bare, commit)
    assert not signed(bare, JOURNAL)


@pytest.mark.skipif(shutil.which("gpg") is None, reason="gpg is not installed")
def test_an_openpgp_key_signs_both(laptop: Watched, bare: Bare, a_user_of_git: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A short path: the agent's socket lies there.
    with tempfile.TemporaryDirectory() as home:
        monkeypatch.setenv("GNUPGHOME", home)
        made_key = [
            "gpg",
            "--batch",
            "--quiet",
            "--passphrase",
            "",
            "--quick-generate-key",
            "Bennu Operator <operator@example.org>",
            "ed25519",
            "sign",
            "never",
        ]
        subprocess.run(made_key, check=True, capture_output=True)
        git(bare.path, "config", "--file", str(a_user_of_git), "commit.gpgsign", "true")
        commit = made(laptop, (STATE, "new\n"))
        for one in (commit, JOURNAL):
            git(bare.path, "verify-commit", one)
        subprocess.run(["gpgconf", "--kill", "all"], check=False)


def test_a_signing_key_that_nobody_touches_stops_in_a_safe_state(bare: Bare, a_user_of_git: Path, tmp_path: Path) -> None:
    pinentry = tmp_path / "slow-gpg"
    pinentry.write_text("#!/bin/sh\nsleep 600\n")
    pinentry.chmod(0o755)
    for name, value in {"commit.gpgsign": "true", "gpg.program": str(pinentry), "user.signingkey": "ABCD"}.items():
        git(bare.path, "config", "--file", str(a_user_of_git), name, value)
    laptop = repository(tmp_path / "laptop", str(bare.path), timeout_s=1.0)
    with pytest.raises(Exception, match="signing key gave no answer within 1 s") as stopped:
        made(laptop, (STATE, "new\n"))
    assert getattr(stopped.value, "code", None) == 5
    assert bare.count("refs/heads/main") == 1


def test_a_user_whom_git_does_not_know_is_told_how_to_introduce_themselves(laptop: Watched, bare: Bare, a_user_of_git: Path) -> None:
    a_user_of_git.write_text("[user]\n\tuseConfigOnly = true\n")
    with pytest.raises(UsageError, match="does not know who you are") as refused:
        made(laptop, (STATE, "new\n"))
    assert "git config --global user.name" in refused.value.next_step
    assert bare.count("refs/heads/main") == 1
