from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.git.grounds import Ground, ground
from tests.contract.git.remotes import Bare, Served, served


@pytest.fixture(autouse=True)
def a_user_of_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The environment of an ordinary user: an identity, no other configuration, no prompts. Returns the global configuration file."""
    config = tmp_path / "gitconfig"
    config.write_text("[user]\n\tname = Bennu Operator\n\temail = operator@example.org\n")
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "EMAIL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    return config


@pytest.fixture(params=["memory", "path", "branches"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ground]:
    """The same contract in memory, on real Git, and on a host whose journals lie among the branches."""
    with ground(str(request.param), tmp_path) as found:
        yield found


@pytest.fixture
def bare(tmp_path: Path) -> Bare:
    """A remote that is reached by its path."""
    return Bare.made(tmp_path / "fleet.git")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    """The lab's Git server with ``fleet.git`` on it."""
    with served(tmp_path / "lab") as found:
        Bare.made(tmp_path / "lab" / "git" / "fleet.git")
        yield found
