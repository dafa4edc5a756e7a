"""Adapters from settings: which concrete system answers each port. Nothing is opened here; each adapter connects when it is first asked."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bennu.adapters.certificates import PemCertificates
from bennu.adapters.checkpoint import FileCheckpoint
from bennu.adapters.clock import SystemClock
from bennu.adapters.command import CommandProvisioner, Commands
from bennu.adapters.dns import DnsOverSocket
from bennu.adapters.git import GitRepository, Remote
from bennu.adapters.git_refs import Refs
from bennu.adapters.kubernetes import KubernetesApi
from bennu.adapters.kubernetes_credentials import Manners
from bennu.adapters.prometheus import Prometheus, PrometheusEndpoint
from bennu.adapters.requests_box import GitRequestBox
from bennu.adapters.terraform import TerraformConfig, TerraformProvisioner
from bennu.core.clusters import Colour, Group
from bennu.engine.journal import Holder
from bennu.errors import ConfigError, StoppedSafe, UsageError
from bennu.phases.base import Systems
from bennu.ports.checkpoint import Checkpoint
from bennu.ports.kubernetes import Kubernetes
from bennu.ports.provisioner import Provisioner
from bennu.ports.repository import RequestBox
from bennu.settings import GroupSettings, Settings
from bennu.wiring.redis_server import redis_server
from bennu.wiring.secret_sources import secret


@dataclass(frozen=True)
class Built:
    """Everything that one command works with."""

    systems: Systems
    box: RequestBox


def state_dir(environ: Mapping[str, str]) -> Path:
    """Where Bennu keeps its clones and checkpoints: ``$XDG_STATE_HOME/bennu``."""
    base = environ.get("XDG_STATE_HOME") or str(Path(environ.get("HOME", "~")).expanduser() / ".local" / "state")
    return Path(base) / "bennu"


def ourselves(checkpoint: Checkpoint) -> Holder:
    """This process as a holder."""
    machine = ""
    with suppress(StoppedSafe):  # whoever only looks needs no name; who writes meets the full disk before the first effect
        machine = checkpoint.machine()
    return Holder(f"{getpass.getuser()}@{socket.gethostname()}", os.getpid(), machine)


def own_folder(layout: str, group: Group) -> str:
    """The folder that holds the group's cluster directories, and no other group's where the layout keeps them apart: all that Bennu may write below. Empty = the root."""
    return layout.replace("{env}", group.env).replace("{region}", group.region).partition("{colour}")[0].rpartition("/")[0]


def built(settings: Settings, group: Group, folder: Path, environ: Mapping[str, str], *, no_input: bool) -> Built:
    """The adapters of a group. *folder* is where bennu.yaml lies: relative paths begin there."""
    conf, state = settings.group(group), state_dir(environ)
    login = settings.repository.credentials
    remote = Remote(
        url=settings.repository.remote,
        branch=settings.repository.branch,
        username=login.username if login else "",
        password=secret(login.password if login else None, environ),
        clusters=own_folder(settings.repository.layout.clusters, group),
        catalogs=settings.repository.layout.catalogs,
        no_input=no_input,
        refs=Refs(settings.repository.journal_ref),
        sign_notes=settings.repository.signing.notes,
    )
    repository = GitRepository(state, remote)
    cluster = cache(lambda colour: _cluster(conf, group, colour, no_input=no_input))
    token = secret(conf.metrics.prometheus.token, environ)
    prometheus = PrometheusEndpoint(conf.metrics.prometheus.url, conf.metrics.selector, dict(conf.metrics.prometheus.headers), token)
    systems = Systems(
        repository=repository,
        cluster=cluster,
        redis=cache(lambda colour: redis_server(conf, colour, cluster, environ)),
        metrics=Prometheus(prometheus),
        dns=DnsOverSocket(),
        provisioner=_provisioner(conf, folder),
        certificates=PemCertificates(),
        checkpoint=FileCheckpoint(state, beside=(repository.clone.path,)),
        clock=SystemClock(),
    )
    return Built(systems, GitRequestBox(repository))


def _cluster(conf: GroupSettings, group: Group, colour: Colour, *, no_input: bool) -> Kubernetes:
    found = conf.clusters.get(colour.value)
    if found is None:
        raise UsageError(f"{group} has no cluster {colour} in bennu.yaml", next_step=f"add it under groups.{group}.clusters")
    files = (Path(found.kubeconfig),) if found.kubeconfig else ()
    return KubernetesApi.of(found.context, files, manners=Manners(no_input, conf.kubernetes.exec_plugins))


def _provisioner(conf: GroupSettings, folder: Path) -> Provisioner:
    wanted = conf.provisioner
    timeout = wanted.timeout or 3600.0
    if wanted.kind == "command":
        if not wanted.up or not wanted.down:
            raise ConfigError("provisioner.up and provisioner.down are needed for kind: command", file=str(folder / "bennu.yaml"))
        return CommandProvisioner(Commands(wanted.up, wanted.down, wanted.outputs, folder, timeout))
    if not wanted.dir or not wanted.workspace:
        raise ConfigError("provisioner.dir and provisioner.workspace are needed for kind: terraform", file=str(folder / "bennu.yaml"))
    files = tuple(folder / name for name in wanted.var_files)
    return TerraformProvisioner(TerraformConfig(folder / wanted.dir, wanted.workspace, files, timeout_s=timeout))
