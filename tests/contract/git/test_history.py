"""``doctor --history`` over real Git: every commit of the branch, merges and side branches included."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from bennu.cli.app import run
from tests.contract.git.remotes import Bare, git

HOME = "clusters/prod/us-east-1"
SETTINGS = """version: 1
repository: {{remote: "{remote}"}}
groups:
  prod/us-east-1:
    clusters: {{blue: {{context: blue}}, green: {{context: green}}}}
    provisioner: {{kind: command, up: [up], down: [down]}}
    pointer:
      configmap: {{namespace: payments, name: global-traffic-state}}
      keys: {{IS_WRITE_MASTER: {master}}}
    metrics: {{prometheus: {{url: "http://127.0.0.1:1"}}}}
"""


def path(colour: str) -> str:
    return f"{HOME}/cluster-{colour}/traffic-state.yaml"


def said(master: bool, *, key: str = "IS_WRITE_MASTER") -> bytes:
    return f'apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: global-traffic-state}}\ndata:\n  {key}: "{str(master).lower()}"\n'.encode()


def both(blue: bool, green: bool, *, key: str = "IS_WRITE_MASTER") -> Mapping[str, bytes]:
    return {path("blue"): said(blue, key=key), path("green"): said(green, key=key)}


class Fleet:
    """A remote with a history, and what ``bennu doctor --history`` says of it."""

    def __init__(self, folder: Path, first: Mapping[str, bytes], *, key: str = "IS_WRITE_MASTER") -> None:
        self.bare = Bare.made(folder / "fleet.git", first)
        (folder / "bennu.yaml").write_text(SETTINGS.format(remote=self.bare.path, master=key))
        self._config = folder / "bennu.yaml"

    def doctor(self, *more: str) -> int:
        return run(["doctor", "--history", "--config", str(self._config), *more])

    def merged(self, subject: str, side: str, files: Mapping[str, bytes]) -> str:
        """A merge of *side* into main whose tree has *files*."""
        parts = [f"commit refs/heads/main\ncommitter Ada <ada@example.org> 1700000000 +0000\ndata {len(subject)}\n{subject}\n".encode()]
        parts += [f"from {self.bare.tip()}\nmerge {side}\n".encode()]
        for name, content in files.items():
            parts.append(f"M 100644 inline {name}\ndata {len(content)}\n".encode() + content + b"\n")
        git(self.bare.path, "fast-import", "--quiet", given=b"".join(parts))
        return self.bare.tip()


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


Say = pytest.CaptureFixture[str]


def test_a_history_of_hand_overs_by_one_commit_passes(tmp_path: Path, capsys: Say) -> None:
    fleet = Fleet(tmp_path, {path("blue"): said(True)})
    fleet.bare.commit("Add green", {path("green"): said(False)})
    fleet.bare.commit("Touch something else", {"README.md": b"x"})
    fleet.bare.commit("Hand over", both(False, True))
    fleet.bare.commit("Remove blue", {path("blue"): None})
    assert fleet.doctor() == 0
    assert "4 commits" in capsys.readouterr().out


def test_a_commit_with_two_masters_is_named_with_its_files_although_it_was_mended(tmp_path: Path, capsys: Say) -> None:
    fleet = Fleet(tmp_path, both(True, False))
    bad = fleet.bare.commit("Promote green first", {path("green"): said(True)})
    fleet.bare.commit("And then demote blue", {path("blue"): said(False)})
    assert fleet.doctor() == 3
    found = capsys.readouterr()
    assert f"{bad[:12]}" in found.out
    assert path("blue") in found.out
    assert path("green") in found.out
    assert "Promote green first" in found.out
    assert bad[:12] in found.err
    assert fleet.doctor("-o", "json") == 3
    assert f'"commit": "{bad}"' in capsys.readouterr().out


def test_a_side_branch_and_a_merge_that_puts_two_together_are_looked_at(tmp_path: Path, capsys: Say) -> None:
    fleet = Fleet(tmp_path, both(False, False))
    base = fleet.bare.tip()
    side = fleet.bare.commit("Green on a side branch", {path("green"): said(True)}, ref="refs/heads/side", onto=base)
    fleet.bare.commit("Blue on main", {path("blue"): said(True)})
    merge = fleet.merged("Merge both", side, both(True, True))
    fleet.bare.commit("Mend it", {path("green"): said(False)})
    assert fleet.doctor() == 3
    out = capsys.readouterr().out
    assert merge[:12] in out
    assert side[:12] not in out, "each side had one master"


def test_a_side_branch_that_its_merge_made_invisible_is_looked_at(tmp_path: Path, capsys: Say) -> None:
    fleet = Fleet(tmp_path, both(True, False))
    side = fleet.bare.commit("Two masters on the side", {path("green"): said(True)}, ref="refs/heads/side", onto=fleet.bare.tip())
    fleet.merged("Merge, keeping ours", side, both(True, False))
    assert fleet.doctor() == 3
    assert side[:12] in capsys.readouterr().out


def test_a_file_that_cannot_be_read_is_told_and_does_not_pass(tmp_path: Path, capsys: Say) -> None:
    fleet = Fleet(tmp_path, both(True, False))
    torn = fleet.bare.commit("Tear it", {path("green"): b"data: [\n"})
    fleet.bare.commit("Mend it", {path("green"): said(False)})
    assert fleet.doctor() == 3
    out = capsys.readouterr().out
    assert torn[:12] in out
    assert "not valid YAML" in out


def test_the_key_is_the_users_own(tmp_path: Path, capsys: Say) -> None:
    fleet = Fleet(tmp_path, both(True, True, key="active"), key="active")
    assert fleet.doctor() == 3
    assert fleet.bare.tip()[:12] in capsys.readouterr().out
