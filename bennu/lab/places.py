"""Where a lab keeps what: its directory, its clusters' directories, and the small JSON files in them.

Every file is replaced atomically, since several processes read them while one writes. What is secret is 0600 inside a directory of 0700.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class LabFacts:
    """``lab.json``: what all clusters share. ``ports``: git, dns, prometheus, traffic. ``processes``: name → {"pid", "started"}."""

    name: str
    created: str
    ports: Mapping[str, int]
    colours: tuple[str, ...] = ()
    processes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class ClusterFacts:
    """``cluster.json`` of one cluster. Files are absolute paths."""

    colour: str
    group: str
    api_url: str
    ca_file: str
    token_file: str
    uid: str
    gateway_port: int
    gateway_probe_port: int
    metrics_port: int
    lb_host: str
    volumes: str
    processes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class LabDir:
    """A lab's directory."""

    root: Path

    def cluster(self, colour: str) -> ClusterDir:
        """The directory of a cluster, whether it exists or not."""
        return ClusterDir(self.root / "clusters" / colour)

    def clusters(self) -> tuple[ClusterDir, ...]:
        """Those that exist (their cluster.json does)."""
        folder = self.root / "clusters"
        if not folder.is_dir():
            return ()
        return tuple(ClusterDir(path) for path in sorted(folder.iterdir()) if (path / "cluster.json").is_file())

    @property
    def exists(self) -> bool:
        """Whether a lab was made here."""
        return (self.root / "lab.json").is_file()

    def load(self) -> LabFacts:
        """lab.json. Raises FileNotFoundError."""
        raw = json.loads((self.root / "lab.json").read_text(encoding="utf-8"))
        return LabFacts(raw["name"], raw["created"], raw["ports"], tuple(raw["colours"]), raw["processes"])

    def save(self, facts: LabFacts) -> None:
        """Write lab.json."""
        write_json(self.root / "lab.json", asdict(facts))

    def faults(self) -> dict[str, str]:
        """The faults that are in force, by name."""
        try:
            raw = json.loads((self.root / "faults.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return {str(key): str(value) for key, value in raw.items()}

    def set_fault(self, name: str, value: str) -> None:
        """Put one in force."""
        write_json(self.root / "faults.json", {**self.faults(), name: value})

    def clear_fault(self, name: str) -> None:
        """Take one off."""
        write_json(self.root / "faults.json", {key: value for key, value in self.faults().items() if key != name})

    @property
    def ledgers(self) -> Path:
        """Folder of the ledgers."""
        return self.root / "ledgers"


@dataclass(frozen=True)
class ClusterDir:
    """A cluster's directory, ``<lab>/clusters/<colour>``."""

    root: Path

    @property
    def lab(self) -> LabDir:
        """The lab it belongs to."""
        return LabDir(self.root.parent.parent)

    @property
    def exists(self) -> bool:
        """Whether the cluster was made."""
        return (self.root / "cluster.json").is_file()

    def load(self) -> ClusterFacts:
        """cluster.json. Raises FileNotFoundError."""
        return ClusterFacts(**json.loads((self.root / "cluster.json").read_text(encoding="utf-8")))

    def save(self, facts: ClusterFacts) -> None:
        """Write cluster.json."""
        write_json(self.root / "cluster.json", asdict(facts))


def write_json(path: Path, value: Any) -> None:
    """Replace *path* with *value* as JSON, 0600."""
    write_private(path, json.dumps(value, indent=1, default=str) + "\n")


def write_private(path: Path, text: str) -> None:
    """Replace *path* with *text*, 0600."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    Path(temporary).replace(path)
