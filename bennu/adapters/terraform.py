"""Provisions with Terraform or OpenTofu: one workspace a cluster, state kept whatever happens.

It never unlocks a state by force and never destroys anything but the workspace of the cluster that it was asked for. Sensitive outputs are left out, since outputs go to Git.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bennu.adapters.command import KEPT, Ran, Tool, failed, filled, run, variables
from bennu.core.clusters import checked_label
from bennu.errors import DurableStateError, LockHeld, StoppedSafe, UsageError
from bennu.ports.provisioner import Order, Talk

_PROGRAMS = ("terraform", "tofu")
_LOCK_FACT = re.compile(r"^\W*(ID|Who|Created|Operation):\s*(.+?)\s*$")


@dataclass(frozen=True)
class TerraformConfig:
    """A root module. ``workspace`` is a template that must contain ``{colour}``; ``data_dir`` (TF_DATA_DIR) is where Terraform keeps plugins, None = ``.terraform``."""

    folder: Path
    workspace: str
    var_files: tuple[Path, ...] = ()
    data_dir: Path | None = None
    timeout_s: float = 3600.0


class TerraformProvisioner:
    """The port ``Provisioner``."""

    def __init__(self, config: TerraformConfig) -> None:
        if "{colour}" not in config.workspace:
            raise UsageError(
                f"provisioner.workspace {config.workspace!r} lacks {{colour}}: all clusters would share one state, and destroying one would destroy them all",
                next_step='write it as e.g. "prod-use1-{colour}"',
            )
        self._config = config

    def up(self, order: Order, talk: Talk) -> Mapping[str, str]:
        """See the port."""
        name = self._prepared(order, talk)
        self._checked("workspace", ("workspace", "select", "-no-color", "-or-create=true", "--", name), order, talk)
        self._checked("apply", ("apply", *self._flags()), order, talk, name)
        return self._read(order, name)

    def outputs(self, order: Order) -> Mapping[str, str] | None:
        """See the port."""
        name = self._prepared(order, lambda line: None)
        return self._read(order, name) if name in self._workspaces(order) else None

    def knows(self, order: Order) -> bool | None:
        """See the port: a workspace is there, with something in its state."""
        name = self._prepared(order, lambda line: None)
        if name not in self._workspaces(order):
            return False
        return bool(self._checked("state", ("state", "list"), order, lambda line: None, name).stdout)

    def down(self, order: Order, talk: Talk) -> None:
        """See the port. Without the workspace there is nothing to destroy."""
        name = self._prepared(order, talk)
        if name not in self._workspaces(order):
            talk(f"there is no workspace {name}: nothing to destroy")
            return
        # Safe to repeat: TF_WORKSPACE pins the state, and what is gone already is not in it.
        self._checked("destroy", ("destroy", *self._flags()), order, talk, name)
        self._checked("workspace", ("workspace", "select", "-no-color", "default"), order, talk)
        self._checked("workspace", ("workspace", "delete", "-no-color", "--", name), order, talk)

    def _prepared(self, order: Order, talk: Talk) -> str:
        """The workspace's name, the folder being initialised and without a state that was never uploaded."""
        name = checked_label(filled(self._config.workspace, order), "Terraform workspace")
        if not self._config.folder.is_dir():
            raise UsageError(f"provisioner.dir {self._config.folder} is no directory", next_step="correct provisioner.dir in bennu.yaml")
        errored = self._config.folder / "errored.tfstate"
        if errored.exists():
            raise DurableStateError(
                f"{errored} exists: an earlier run could not save its state, and Terraform does not know what it made",
                next_step=f"push it first: terraform -chdir={self._config.folder} state push errored.tfstate, then delete the file",
            )
        self._checked("init", ("init", "-input=false", "-no-color"), order, talk)
        return name

    def _flags(self) -> tuple[str, ...]:
        return ("-input=false", "-auto-approve", "-no-color", *(f"-var-file={file.absolute()}" for file in self._config.var_files))

    def _workspaces(self, order: Order) -> frozenset[str]:
        ran = self._checked("workspace", ("workspace", "list", "-no-color"), order, lambda line: None)
        return frozenset(line.lstrip("* ").strip() for line in ran.stdout) - {""}

    def _read(self, order: Order, name: str) -> dict[str, str]:
        ran = self._checked("output", ("output", "-json", "-no-color"), order, lambda line: None, name)
        try:
            found: Mapping[str, Mapping[str, object]] = json.loads("\n".join(ran.stdout))
            plain = {key: item["value"] for key, item in found.items() if not item.get("sensitive")}
        except (ValueError, KeyError, AttributeError):
            raise StoppedSafe("terraform output printed no JSON", changed=KEPT, next_step="bennu rotate resume") from None
        return {key: value if isinstance(value, str) else json.dumps(value) for key, value in plain.items()}

    def _checked(self, verb: str, arguments: tuple[str, ...], order: Order, talk: Talk, workspace: str = "") -> Ran:
        program = next((name for name in _PROGRAMS if shutil.which(name)), None)
        if program is None:
            raise UsageError("neither terraform nor tofu is on PATH", next_step="install one of them, or use provisioner.kind: command")
        config = self._config
        env = {**variables(order), "TF_IN_AUTOMATION": "1", "TF_INPUT": "0", "TF_VAR_colour": order.colour.value, "TF_VAR_cluster": order.colour.cluster}
        # Empty = not set: then the workspace of .terraform/environment counts, which another run may change. What applies and destroys is pinned.
        env["TF_WORKSPACE"] = workspace
        if config.data_dir is not None:
            env["TF_DATA_DIR"] = str(config.data_dir.absolute())
        ran = run(Tool(f"{program} {verb}", (program, *arguments), config.folder, env, config.timeout_s), talk)
        if ran.status != 0:
            raise _problem(f"{program} {verb} for {order.colour.cluster}", ran)
        return ran


def _problem(what: str, ran: Ran) -> Exception:
    if not any("Error acquiring the state lock" in line for line in ran.tail):
        return failed(what, ran)
    facts = {match[1]: match[2] for line in ran.tail if (match := _LOCK_FACT.match(line))}
    shown = ", ".join(f"{name} {facts[name]}" for name in ("ID", "Who", "Operation", "Created") if name in facts)
    return LockHeld(f"{what}: somebody else holds the Terraform state ({shown})", next_step="wait for them; Bennu never unlocks a state by force")
