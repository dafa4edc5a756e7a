"""Where journals and requests lie at the remote, and under which names the clone keeps them.

At the remote the prefix is the user's choice, for hosts that refuse ``refs/notes``. In the clone the names are always the same, so that plain git shows them beside the commits there,
and no fetch runs into a branch of that name.
"""

from __future__ import annotations

from dataclasses import dataclass

from bennu.core.clusters import Group

NOTES = "refs/notes/bennu"
CLUSTERS = "-clusters/"  # follows the prefix; a cluster's UID follows it
# No label of an environment begins so: test refs lie in the very namespace that the host is asked about, and are left out of every fetch.
_PROBE = "_probe"


def local(group: Group) -> str:
    """The journal in the clone."""
    return f"{NOTES}/{group.env}/{group.region}"


def local_requests(group: Group) -> str:
    """The requests in the clone."""
    return f"{NOTES}-requests/{group.env}/{group.region}"


@dataclass(frozen=True)
class Refs:
    """The names at the remote, all below *prefix* or beside it."""

    prefix: str = NOTES

    def journal(self, group: Group) -> str:
        """The group's journal."""
        return f"{self.prefix}/{group.env}/{group.region}"

    def requests(self, group: Group) -> str:
        """The group's requests."""
        return f"{self.prefix}-requests/{group.env}/{group.region}"

    def cluster(self, uid: str) -> str:
        """Who holds the cluster of that UID (``*``: all of them)."""
        return f"{self.prefix}{CLUSTERS}{uid}"

    def probes(self, name: str) -> tuple[str, str, str]:
        """Test refs called *name*, in the namespaces of the journals, of the requests and of the clusters (no UID begins so)."""
        return f"{self.prefix}/{_PROBE}/{name}", f"{self.prefix}-requests/{_PROBE}/{name}", self.cluster(f"{_PROBE}-{name}")

    @property
    def claims(self) -> str:
        """The refspec that brings what the clusters' refs say now: by force, since nothing else is ever read from them."""
        return f"+{self.cluster('*')}:{USUAL.cluster('*')}"

    @property
    def fetched(self) -> tuple[str, ...]:
        """Refspecs that bring every journal, and no test ref."""
        return f"{self.prefix}/*:{NOTES}/*", f"^{self.prefix}/{_PROBE}/*"


USUAL = Refs()
