"""Writes kubeconfig files for tests."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def document(cluster: Mapping[str, Any], user: Mapping[str, Any], name: str = "lab-blue") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "clusters": [{"name": name, "cluster": dict(cluster)}],
        "users": [{"name": name, "user": dict(user)}],
    }


def write(path: Path, cluster: Mapping[str, Any], user: Mapping[str, Any], name: str = "lab-blue") -> Path:
    path.write_text(yaml.safe_dump(document(cluster, user, name)))
    return path
