"""A GitOps checkout on disk whose remote is a bare repository and whose clusters answer nobody: what ``bennu status`` can be asked about."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from bennu.lab.fleet_files import git
from bennu.manifests.traffic_state import SPECIFIED
from tests.sim import fleet

_SETTINGS = """
version: 1
policy: lab
repository: {{remote: "{remote}", branch: main}}
groups:
  prod/us-east-1:
    clusters:
      blue: {{context: sim-blue, kubeconfig: "{kubeconfig}"}}
      green: {{context: sim-green, kubeconfig: "{kubeconfig}"}}
    provisioner: {{kind: command, up: ["true"], down: ["true"]}}
    flux: {{bootstrap: [catalogs/flux]}}
    pointer: {{configmap: {{namespace: payments, name: global-traffic-state}}}}
    redis: []
    apps: []
    both: [{{kind: Deployment, namespace: "*", name: "*"}}]
    metrics: {{prometheus: {{url: "http://127.0.0.1:9"}}}}
"""


def made(root: Path) -> Path:
    """The checkout below *root*."""
    checkout, bare = root / "fleet", root / "fleet.git"
    for name, text in fleet.files(redis=False, apps=(), dns=False, keys=SPECIFIED).items():
        file = checkout / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    (checkout / "bennu.yaml").write_text(_SETTINGS.format(remote=bare.as_uri(), kubeconfig=root / "kubeconfig"), encoding="utf-8")
    git(root, "init", "--quiet", "--bare", "--initial-branch=main", str(bare))
    git(checkout, "init", "--quiet", "--initial-branch=main")
    git(checkout, "add", "--all")
    git(checkout, "commit", "--quiet", "--no-gpg-sign", "-m", "One active cluster")
    git(checkout, "push", "--quiet", str(bare), "main")
    return checkout


def environ(root: Path) -> Mapping[str, str]:
    """What the operator's shell has."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("BENNU_", "GIT_"))}
    return {**kept, "XDG_STATE_HOME": str(root / "state")}
