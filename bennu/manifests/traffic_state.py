"""traffic-state.yaml: the write pointer, a ConfigMap with the specification's four keys, or the user's names for them. Only they are touched."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from bennu.manifests import yaml_edit, yaml_read
from bennu.manifests.write_service import WriteService

READ, WRITE, MASTER, MAINTENANCE = "REDIS_READ_HOST", "REDIS_WRITE_HOST", "IS_WRITE_MASTER", "MAINTENANCE_MODE"
TERM = "bennu.io/term"  # how often the authority has moved
_MAP = yaml_edit.Target("ConfigMap")


@dataclass(frozen=True)
class Keys:
    """What the four keys are called in the user's ConfigMap; the specification's names where nothing else is said."""

    read: str = READ
    write: str = WRITE
    master: str = MASTER
    maintenance: str = MAINTENANCE

    @property
    def authority(self) -> tuple[str, str]:
        """The two that say who is the master."""
        return self.master, self.write


SPECIFIED = Keys()


@dataclass(frozen=True)
class TrafficState:
    """Hosts are DNS names inside the cluster; None where the group keeps no Redis in its clusters, and the file's own are left alone."""

    read_host: str | None
    write_host: str | None
    is_write_master: bool
    maintenance_mode: bool = False

    def with_authority(self) -> TrafficState:
        """The same hosts, with the authority."""
        return replace(self, is_write_master=True, maintenance_mode=False)

    def without_authority(self) -> TrafficState:
        """The same hosts, without it."""
        return replace(self, is_write_master=False, maintenance_mode=False)


def hot(service: str, namespace: str) -> TrafficState:
    """Of the write master: everything local."""
    local = f"{service}.{namespace}.svc.cluster.local"
    return TrafficState(local, local, is_write_master=True)


def warm(service: str, namespace: str, *, mirror: str, reads_local: bool = True) -> TrafficState:
    """Of any other cluster: writes go through *mirror*, the master's mirror service."""
    local, remote = f"{service}.{namespace}.svc.cluster.local", f"{mirror}.{namespace}.svc.cluster.local"
    return TrafficState(local if reads_local else remote, remote, is_write_master=False)


def parse(text: str, file: str, keys: Keys = SPECIFIED) -> TrafficState:
    """From the file. Values are compared as Kubernetes stores them: strings."""
    found = data(text, file)
    flags = (found.get(key, "").lower() == "true" for key in (keys.master, keys.maintenance))
    return TrafficState(found.get(keys.read), found.get(keys.write), *flags)


def data(text: str, file: str) -> dict[str, str]:
    """The ConfigMap's whole data."""
    raw = yaml_read.mapping(yaml_read.single(text, "ConfigMap", file), ("data",), file)
    return {str(key): yaml_read.text_of(value) for key, value in raw.items()}


def edited(text: str, state: TrafficState, file: str, keys: Keys = SPECIFIED) -> str:
    """The file with *state*."""
    values = {keys.master: str(state.is_write_master).lower(), keys.maintenance: str(state.maintenance_mode).lower()}
    values |= {keys.read: state.read_host} if state.read_host is not None else {}
    values |= {keys.write: state.write_host} if state.write_host is not None else {}
    for key, value in values.items():
        text = yaml_edit.set_value(text, _MAP, ("data", key), value, file)
    return text


def term(text: str, file: str) -> int:
    """The term that the ConfigMap says; 0 where it says none, or something else than a number."""
    said = yaml_read.text_of(yaml_read.mapping(yaml_read.single(text, "ConfigMap", file), ("metadata", "annotations"), file).get(TERM, ""))
    return int(said) if re.fullmatch("[0-9]{1,15}", said) else 0


def with_term(text: str, number: int, which: WriteService | None, file: str) -> str:
    """The file with that term on the ConfigMap, and on what moves the write Service where there is one."""
    targets = [_MAP] if which is None else [_MAP, yaml_edit.Target(which.kind, which.name, which.namespace)]
    for target in targets:
        text = yaml_edit.set_value(text, target, ("metadata", "annotations", TERM), str(number), file)
    return text
