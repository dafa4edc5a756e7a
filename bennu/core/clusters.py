"""Names: colours, groups, clusters and rotations, validated where they enter.

A colour is a cluster's identifier inside its group and never changes while the cluster lives; roles move, colours do not. Everything that reaches a path, a
Git ref or a command is built from these types, so that no user-typed text gets there unvalidated.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from bennu.errors import UsageError

# RFC 1123 label, as Kubernetes uses it; also safe in a path, in a Git ref and
# as an argument, since it can't start with a dash.
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")


def checked_label(text: str, what: str) -> str:
    """Return *text* if it is an RFC 1123 label; raise UsageError naming *what* it should be."""
    if not _LABEL.match(text):
        raise UsageError(
            f"{what} {text!r} is not a valid name",
            next_step="use lower-case letters, digits and dashes (RFC 1123 label, at most 63 characters)",
        )
    return text


class Colour(enum.StrEnum):
    """The three identifiers of a group, in the order of rotation."""

    RED = "red"
    BLUE = "blue"
    GREEN = "green"

    @classmethod
    def parse(cls, text: str) -> Colour:
        """The colour named *text*; UsageError for anything else."""
        try:
            return cls(text)
        except ValueError:
            raise UsageError(f"{text!r} is not a colour", next_step="choose one of red, blue, green") from None

    @property
    def following(self) -> Colour:
        """The next in the cycle red → blue → green → red."""
        cycle = list(Colour)
        return cycle[(cycle.index(self) + 1) % len(cycle)]

    @property
    def cluster(self) -> str:
        """The cluster's name as Linkerd and the directory know it: ``cluster-<colour>``."""
        return f"cluster-{self.value}"


@dataclass(frozen=True, order=True)
class Group:
    """Clusters that hand one write authority around: ``<env>/<region>``."""

    env: str
    region: str

    def __post_init__(self) -> None:
        checked_label(self.env, "environment")
        checked_label(self.region, "region")

    @classmethod
    def parse(cls, text: str) -> Group:
        """From ``prod/us-east-1``; UsageError if it is not two labels."""
        env, slash, region = text.partition("/")
        if not slash:
            raise UsageError(f"{text!r} is not a group", next_step="write it as <env>/<region>, e.g. prod/us-east-1")
        return cls(env, region)

    def __str__(self) -> str:
        return f"{self.env}/{self.region}"


@dataclass(frozen=True)
class RotationId:
    """``<env>-<region>-<n>``, n rising from 1 within the group."""

    group: Group
    number: int

    def __str__(self) -> str:
        return f"{self.group.env}-{self.group.region}-{self.number}"


class Role(enum.StrEnum):
    """What a cluster is at the moment: derived from the world, never stored."""

    ACTIVE = "active"
    WARM = "warm"
    DRAINING = "draining"
    ABSENT = "absent"


def uid(text: str) -> str:
    """*text*, where it can be the UID of a cluster's kube-system; a ref is named by it. Raises UsageError."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}", text) or text.startswith("probe-"):
        raise UsageError(f"{text!r} is no UID of a cluster", next_step="check CLUSTER_UID in cluster-config.yaml")
    return text
