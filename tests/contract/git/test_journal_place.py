"""Where the journal lies: a host that refuses notes refs is found by ``bennu doctor``, and served by ``repository.journal_ref``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bennu.adapters.git_refs import Refs
from bennu.adapters.requests_box import GitRequestBox
from bennu.cli.app import run
from bennu.errors import DurableStateError
from bennu.ports.repository import Change, Edit, Request
from tests.contract.git.grounds import GROUP, NO_NOTES, record
from tests.contract.git.remotes import FOLDER, STATE, Bare, git, repository

BRANCHES = Refs("refs/heads/bennu")
SETTINGS = """version: 1
repository: {{remote: "{remote}"{more}}}
groups:
  prod/us-east-1:
    clusters: {{blue: {{context: blue}}, green: {{context: green}}}}
    provisioner: {{kind: command, up: [up], down: [down]}}
    pointer: {{configmap: {{namespace: payments, name: global-traffic-state}}}}
    metrics: {{prometheus: {{url: "http://127.0.0.1:1"}}}}
"""
MASTER = b'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: global-traffic-state}\ndata:\n  IS_WRITE_MASTER: "true"\n'


@pytest.fixture
def strict(tmp_path: Path) -> Bare:
    """A host that refuses notes refs."""
    bare = Bare.made(tmp_path / "fleet.git", {STATE: MASTER})
    bare.hook("update", NO_NOTES)
    return bare


@pytest.fixture(autouse=True)
def a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("KUBECONFIG", "/dev/null")


def doctor(folder: Path, bare: Bare, capsys: pytest.CaptureFixture[str], more: str = "") -> dict[str, tuple[str, str, str]]:
    """Check → answer, reason, hint, as the command says them."""
    (folder / "bennu.yaml").write_text(SETTINGS.format(remote=bare.path, more=more))
    capsys.readouterr()
    assert run(["doctor", "--config", str(folder / "bennu.yaml"), "-o", "json"]) == 3
    found = json.loads(capsys.readouterr().out)
    return {one["id"]: (one["verdict"]["answer"], one["verdict"]["reason"], one["hint"]) for one in found}


def test_doctor_finds_a_host_that_refuses_notes_and_names_the_setting(strict: Bare, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer, reason, hint = doctor(tmp_path, strict, capsys)["git.notes"]
    assert answer == "shut"
    assert "refs/notes/bennu" in reason
    assert "this host keeps no refs/notes" in reason
    assert "repository.journal_ref: refs/heads/bennu" in hint
    answer, reason, _ = doctor(tmp_path, strict, capsys, ", journal_ref: refs/heads/bennu")["git.notes"]
    assert (answer, reason) == ("open", "refs below refs/heads/bennu can be written")
    assert git(strict.path, "for-each-ref", "--format=%(refname)").split() == ["refs/heads/main"]


def test_both_namespaces_are_probed_and_nothing_of_a_probe_stays(strict: Bare, tmp_path: Path) -> None:
    strict.hook("update", 'case "$1" in refs/heads/bennu-requests/*) echo "no requests" >&2; exit 1;; esac')
    laptop = repository(tmp_path / "laptop", str(strict.path), refs=BRANCHES)
    assert "no requests" in laptop.probe_notes(GROUP)
    assert git(strict.path, "for-each-ref", "--format=%(refname)").split() == ["refs/heads/main"]


def test_a_rotations_refs_all_lie_where_the_setting_says(strict: Bare, tmp_path: Path) -> None:
    laptop = repository(tmp_path / "laptop", str(strict.path), refs=BRANCHES)
    laptop.advance(GROUP, "", (record(),), Change((Edit(f"{FOLDER}/a.yaml", "a: 1\n"),), "Edit\n"))
    box = GitRequestBox(laptop)
    box.post(GROUP, Request("one", "promote", "ada@there", "2026-01-01T00:00:00+00:00", {}, "prod-us-east-1-1"))
    assert [one.id for one in GitRequestBox(repository(tmp_path / "other", str(strict.path), refs=BRANCHES)).pending(GROUP)] == ["one"]
    names = git(strict.path, "for-each-ref", "--format=%(refname)").split()
    assert names == ["refs/heads/bennu-requests/prod/us-east-1", "refs/heads/bennu/prod/us-east-1", "refs/heads/main"]
    # Plain git shows it beside the commits once it is fetched to where git looks for notes.
    git(strict.path, "fetch", "--quiet", ".", "refs/heads/bennu/prod/us-east-1:refs/notes/bennu/prod/us-east-1")
    assert '"step":"a-step"' in git(strict.path, "log", "--notes=bennu/prod/us-east-1", "--max-count=1")


def test_a_journal_is_not_begun_beside_one_that_lies_in_the_usual_place(bare: Bare, tmp_path: Path) -> None:
    repository(tmp_path / "colleague", str(bare.path)).advance(GROUP, "", (record(),))
    laptop = repository(tmp_path / "laptop", str(bare.path), refs=BRANCHES)
    with pytest.raises(DurableStateError, match="has its journal in refs/notes/bennu/prod/us-east-1") as second:
        laptop.advance(GROUP, "", (record(),))
    assert second.value.code == 9
    assert bare.tip("refs/heads/bennu/prod/us-east-1") == ""
    # What the error says to do.
    tip = bare.tip("refs/notes/bennu/prod/us-east-1")
    git(bare.path, "push", "--quiet", ".", f"{tip}:refs/heads/bennu/prod/us-east-1", ":refs/notes/bennu/prod/us-east-1")
    laptop.fetch()
    assert len(laptop.journal(GROUP).records) == 1
    laptop.advance(GROUP, tip, (record(),))


def test_doctor_says_whether_the_branch_takes_a_push_and_what_a_dry_one_leaves_open(bare: Bare, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare.commit("A fleet", {STATE: MASTER})
    bare.hook("pre-receive", "exit 1")
    answer, reason, _ = doctor(tmp_path, bare, capsys)["git.push"]
    assert answer == "open"
    assert "show in the first push of S1" in reason
    assert bare.count("refs/heads/main") == 2
