"""cluster-config.yaml: a ConfigMap with what identifies a cluster, and the provisioner's outputs in upper case.

Known keys: CLUSTER_NAME, CLUSTER_COLOUR, GROUP, CLUSTER_UID (of ``kube-system``, pinned in S1). Flux' ``substituteFrom`` can read the rest.
"""

from __future__ import annotations

from collections.abc import Mapping

from bennu.core.clusters import Colour, Group
from bennu.manifests import yaml_edit, yaml_read

_MAP = yaml_edit.Target("ConfigMap")
_IDENTITY = ("CLUSTER_NAME", "CLUSTER_COLOUR", "GROUP")


def parse(text: str, file: str) -> dict[str, str]:
    """Its data, all values as strings."""
    data = yaml_read.mapping(yaml_read.single(text, "ConfigMap", file), ("data",), file)
    return {str(key): yaml_read.text_of(value) for key, value in data.items()}


def edited(text: str, values: Mapping[str, str], file: str) -> str:
    """With *values* set."""
    for key, value in sorted(values.items()):
        text = yaml_edit.set_value(text, _MAP, ("data", key), value, file)
    return text


def fresh(text: str, group: Group, colour: Colour, file: str) -> str:
    """As of a cluster that does not exist yet: identity of *colour*, nothing that was pinned or measured of another."""
    for key in parse(text, file):
        if key not in _IDENTITY:
            text = yaml_edit.delete(text, _MAP, ("data", key), file)
    return edited(text, {"CLUSTER_NAME": colour.cluster, "CLUSTER_COLOUR": colour.value, "GROUP": str(group)}, file)
