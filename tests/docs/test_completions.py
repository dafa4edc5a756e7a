"""The completions that are checked in: what the program prints today, and that a Tab brings live values."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = {"bash": "bennu.bash", "zsh": "_bennu", "fish": "bennu.fish"}


def _asked(folder: Path, **environ: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("BENNU", "_BENNU", "COMP_", "_TYPER"))}
    done = subprocess.run([sys.executable, "-m", "bennu"], cwd=folder, env=clean | environ, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize(("shell", "name"), FILES.items())
def test_the_file_is_what_the_program_prints(shell: str, name: str) -> None:
    assert (ROOT / "completions" / name).read_text(encoding="utf-8") == _asked(ROOT, _BENNU_COMPLETE=f"source_{shell}"), (
        f"stale: run '_BENNU_COMPLETE=source_{shell} bennu > completions/{name}'"
    )


def test_each_file_is_described_with_where_it_goes() -> None:
    page = (ROOT / "completions" / "README.md").read_text(encoding="utf-8")
    assert {path.name for path in (ROOT / "completions").iterdir()} == {*FILES.values(), "README.md"}
    assert all(f"({name})" in page for name in FILES.values())


def test_a_tab_completes_a_command(tmp_path: Path) -> None:
    assert _asked(tmp_path, _BENNU_COMPLETE="complete_bash", COMP_WORDS="bennu rotate ro", COMP_CWORD="2").split() == ["rollback"]


def test_a_tab_offers_the_groups_of_the_settings(tmp_path: Path) -> None:
    shutil.copy(ROOT / "examples" / "bennu.yaml", tmp_path)
    assert _asked(tmp_path, _BENNU_COMPLETE="complete_bash", COMP_WORDS="bennu plan --group p", COMP_CWORD="3").split() == ["prod/us-east-1"]


def test_a_tab_is_silent_where_there_is_no_settings_file(tmp_path: Path) -> None:
    assert _asked(tmp_path, _BENNU_COMPLETE="complete_bash", COMP_WORDS="bennu plan --group p", COMP_CWORD="3").strip() == ""
