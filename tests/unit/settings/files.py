"""A small file that loads, and the means to change one place of it: each test writes the text that a user would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bennu.core.clusters import Group
from bennu.errors import ConfigError
from bennu.settings import GroupSettings, Settings, load

GROUP = Group("prod", "us-east-1")

SMALL = """\
version: 1
repository:
  remote: git@github.com:acme/fleet.git
groups:
  prod/us-east-1:
    clusters:
      blue: {context: acme-blue}
      green: {context: acme-green}
    provisioner: {kind: command, up: [./up, "{colour}"], down: [./down, "{colour}"]}
    pointer:
      configmap: {namespace: payments, name: global-traffic-state}
    redis:
      - name: ledger
        service: {namespace: database, name: redis-master, port: 6379}
    apps:
      - name: payment-service
        route: {namespace: payments, name: payment-split}
    metrics:
      prometheus: {url: "https://mimir.acme.internal/prometheus"}
"""


def group_with(lines: str) -> str:
    """SMALL with more keys in its group: *lines* are written at the group's own depth, without its indent."""
    return SMALL + "".join(f"    {line}\n" for line in lines.strip("\n").splitlines())


def root_with(lines: str) -> str:
    """SMALL with more keys at the top."""
    return SMALL.replace("repository:\n", lines.strip("\n") + "\nrepository:\n")


def repository_with(lines: str) -> str:
    """SMALL with more keys under ``repository``."""
    return SMALL.replace("groups:\n", "".join(f"  {line}\n" for line in lines.strip("\n").splitlines()) + "groups:\n")


def swapped(old: str, new: str) -> str:
    """SMALL with one piece of its text swapped for another."""
    assert old in SMALL
    return SMALL.replace(old, new)


def read(folder: Path, text: str, **given: Any) -> Settings:
    """The settings of *text*, as a file in *folder*; ``environ`` and ``flags`` are empty unless given."""
    file = folder / "bennu.yaml"
    file.write_bytes(text.encode())
    return load(file, environ=given.get("environ", {}), flags=given.get("flags", {}))


def group_of(folder: Path, text: str) -> GroupSettings:
    """Its one group."""
    return read(folder, text).group(GROUP)


def refusal(folder: Path, text: str, **given: Any) -> ConfigError:
    """The error that *text* is refused with: exit code 2, nothing changed, the file named."""
    with pytest.raises(ConfigError) as refused:
        read(folder, text, **given)
    assert refused.value.exit_code == 2
    assert refused.value.changed == "nothing was changed"
    assert refused.value.message.startswith(str(folder / "bennu.yaml"))
    return refused.value
