"""flux-system/gotk-sync.yaml and other files that are applied as they are: text → objects."""

from __future__ import annotations

from typing import Any

from bennu.manifests import yaml_read


def objects(text: str, file: str) -> list[dict[str, Any]]:
    """Every Kubernetes object of a file."""
    return [one for one in yaml_read.objects(text, file) if one.get("kind") and one.get("apiVersion")]
