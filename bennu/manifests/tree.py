"""The layout of the repository: paths of a cluster's directory, and the copy of one for another colour."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from bennu.core.clusters import Colour, Group

CLUSTER_CONFIG = "cluster-config.yaml"
TRAFFIC_STATE = "traffic-state.yaml"
INGRESS_ROUTING = "ingress-routing.yaml"
PROFILE_SYNC = "profile-sync.yaml"
FLUX_SYNC = "flux-system/gotk-sync.yaml"
DNS = "dns.yaml"
REQUIRED = (CLUSTER_CONFIG, TRAFFIC_STATE, INGRESS_ROUTING, PROFILE_SYNC)


def cluster_dir(layout: str, group: Group, colour: Colour) -> str:
    """``repository.layout.clusters`` filled in, e.g. ``clusters/prod/us-east-1/cluster-green``."""
    return layout.format(env=group.env, region=group.region, colour=colour.value).rstrip("/")


def copied(files: Mapping[str, str], group: Group, source: Colour, target: Colour, *, layout: str, leave_out: tuple[str, ...] = ()) -> dict[str, str]:
    """*files* of the source's directory as the target's: paths and the colour's identity in the texts; without ``links/`` and *leave_out*."""
    here, there = cluster_dir(layout, group, source), cluster_dir(layout, group, target)
    found = {}
    for path, text in files.items():
        name = path.removeprefix(here + "/")
        if name in leave_out or (name.startswith("links/") and not name.endswith(".gitkeep")):
            continue
        found[f"{there}/{name}"] = recoloured(text, source, target)
    return found


def recoloured(text: str, source: Colour, target: Colour) -> str:
    """Whole words ``cluster-<source>`` become ``cluster-<target>``. Nothing else is guessed: a bare colour may mean anything."""
    return re.sub(rf"(?<![\w-])cluster-{source.value}(?![\w-])", f"cluster-{target.value}", text)


def still_names_source(files: Mapping[str, str], source: Colour) -> Iterator[tuple[str, int, str]]:
    """(path, line, text) of lines that name the source's colour still."""
    word = re.compile(rf"(?<![a-zA-Z]){source.value}(?![a-zA-Z])")
    for path, text in sorted(files.items()):
        for number, line in enumerate(text.splitlines(), 1):
            if word.search(line):
                yield path, number, line
