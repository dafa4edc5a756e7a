"""The example repository of the lab, written from the templates beside this file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from bennu.errors import DependencyDown
from bennu.lab.places import LabDir
from bennu.lab.pods.resolve import EXTERNAL_REDIS
from bennu.lab.spawn import environment

_COMMAND = """    provisioner:
      kind: command
      up: ["{python}", -m, bennu.lab.provision, up, --lab, "{lab}", --colour, "{{colour}}"]
      down: ["{python}", -m, bennu.lab.provision, down, --lab, "{lab}", --colour, "{{colour}}"]
      outputs: ["{python}", -m, bennu.lab.provision, outputs, --lab, "{lab}", --colour, "{{colour}}"]
      timeout: 2m"""
_TERRAFORM = """    provisioner:
      kind: terraform
      dir: infra/terraform
      workspace: "lab-{colour}"
      timeout: 2m"""
_AUTHOR = {"GIT_AUTHOR_NAME": "Lab", "GIT_AUTHOR_EMAIL": "lab@lab.test", "GIT_COMMITTER_NAME": "Lab", "GIT_COMMITTER_EMAIL": "lab@lab.test"}


@dataclass(frozen=True)
class Choice:
    """What of the templates is taken. ``fence`` is ``redis[].fence.persists_by``, and decides how Redis is started."""

    terraform: bool = False
    external_redis: bool = False
    fence: str = "config-rewrite"


# By what carries the fence: the catalog's folder of a Redis that is started so.
CATALOGS = {"config-rewrite": "redis", "manifest": "redis-by-arguments"}


def written(lab: LabDir, active: str, outputs: Mapping[str, str], choice: Choice = Choice()) -> None:
    """``<lab>/fleet`` (a checkout) and ``<lab>/git/fleet.git`` (the bare remote), with one commit."""
    ports = lab.load().ports
    python, root = _quotable(sys.executable), _quotable(str(lab.root))
    remote = f"http://127.0.0.1:{ports['git']}/fleet.git"
    values = {
        "REMOTE": remote,
        "LAB": root,
        "PYTHON": python,
        "PROMETHEUS": str(ports["prometheus"]),
        "DNS": str(ports["dns"]),
        "COLOUR": active,
        "OUTPUTS": "".join(f'  {key.upper()}: "{value}"\n' for key, value in sorted(outputs.items())),
        "REDIS_HOST": EXTERNAL_REDIS if choice.external_redis else "redis.database.svc.cluster.local",
        "REDIS": CATALOGS[choice.fence],
        "FENCE": choice.fence,
        "PROVISIONER": _TERRAFORM if choice.terraform else _COMMAND.format(python=python, lab=root),
    }
    checkout = lab.root / "fleet"
    for path, template in _templates(resources.files("bennu.lab") / "fleet", ""):
        place = path.replace("cluster/", f"clusters/prod/us-east-1/cluster-{active}/", 1) if path.startswith("cluster/") else path
        text = section(template, without="inside" if choice.external_redis else "external")
        for key, value in values.items():
            text = text.replace(f"@@{key}@@", value)
        file = checkout / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    bare = lab.root / "git" / "fleet.git"
    git(lab.root, "init", "--quiet", "--bare", "--initial-branch=main", str(bare))
    git(checkout, "init", "--quiet", "--initial-branch=main")
    git(checkout, "add", "--all")
    git(checkout, "commit", "--quiet", "--no-gpg-sign", "-m", "The fleet of the lab: one active cluster")
    git(checkout, "push", "--quiet", str(bare), "main")
    git(checkout, "remote", "add", "origin", remote)


def _quotable(text: str) -> str:
    """*text* for between the double quotes of YAML (and of HCL): paths may hold anything."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def section(text: str, *, without: str) -> str:
    """*text* without what stands between ``#@<without>`` and ``#@end``, and without such lines themselves."""
    kept, dropping = [], False
    for line in text.splitlines(keepends=True):
        if line.startswith("#@"):
            dropping = line.strip() == f"#@{without}"
        elif not dropping:
            kept.append(line)
    return "".join(kept)


def git(folder: Path, *arguments: str) -> str:
    """Git in *folder*, as the lab's own author and without the user's configuration: no hooks, no templates, no signing. Raises DependencyDown with its last words."""
    env = {**environment(), **_AUTHOR, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    try:
        return subprocess.run(["git", *arguments], cwd=folder, env=env, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        raise DependencyDown("git is not installed", next_step="install git, and put it on PATH") from None
    except subprocess.CalledProcessError as error:
        said = (error.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise DependencyDown(f"git {arguments[0]} failed: {said}") from None


def _templates(folder: Traversable, prefix: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.is_dir():
            found += _templates(entry, f"{prefix}{entry.name}/")
        elif entry.name != "__init__.py":
            found.append((f"{prefix}{entry.name}", entry.read_text(encoding="utf-8")))
    return found
