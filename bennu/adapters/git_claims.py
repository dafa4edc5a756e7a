"""Which group's lock holds which cluster: ``refs/notes/bennu-clusters/<uid of kube-system>`` (or beside the journals, wherever they lie), one commit each, whose message is one JSON line. Let go of, the ref is deleted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress

from bennu.adapters.git_clone import Clone
from bennu.adapters.git_objects import Pen
from bennu.adapters.git_process import Ran
from bennu.adapters.git_refs import Refs
from bennu.core.clusters import Group, uid
from bennu.errors import BennuError, UsageError
from bennu.ports.repository import Claim, Claimed, Move

_END = "\x1e"


def tips(listed: Mapping[str, str]) -> dict[str, str]:
    """UID → tip, of refs as ``ls-remote`` lists them; what Bennu would not have named is left alone."""
    found = {}
    for name, tip in listed.items():
        with suppress(UsageError):
            found[uid(name.rpartition("/")[2])] = tip
    return found


def read(clone: Clone, refs: Refs, found: Mapping[str, str]) -> dict[str, Claimed] | None:
    """What the refs say, by UID; None where the clone lacks one of their commits."""
    ran: Ran = clone.run("log", "--no-walk=unsorted", "--no-show-signature", "--no-color", "--encoding=UTF-8", f"--format=%H%n%b{_END}", *found.values())
    if not ran.ok:
        return None
    bodies = {part.strip("\n")[:40]: part.strip("\n")[40:] for part in ran.out.split(_END)}
    return {cluster: Claimed(tip, _parsed(cluster, bodies.get(tip, "")), refs.cluster(cluster)) for cluster, tip in found.items()}


def pushed(pen: Pen, refs: Refs, moves: Sequence[Move]) -> tuple[list[str], dict[str, str]]:
    """The arguments of a push that makes *moves*, and each ref with the tip that the remote must have. Raises UsageError for what is no UID: it would be another ref."""
    arguments, tips = [], {}
    for move in moves:
        ref = refs.cluster(uid(move.cluster))
        tips[ref] = move.seen
        made = "" if move.claim is None else pen.message("", f"bennu: {move.cluster} is held by {move.claim.group}", _line(move.claim))
        arguments += [f"--force-with-lease={ref}:{move.seen}", f"{made}:{ref}"]
    return arguments, tips


def _line(claim: Claim) -> str:
    said = {"v": 1, "cluster": claim.cluster, "group": str(claim.group), "lock": claim.lock, "holder": claim.holder, "since": claim.since}
    return json.dumps(said, separators=(",", ":")) + "\n"


def _parsed(cluster: str, text: str) -> Claim | None:
    try:
        raw = json.loads(text)
        fields = [raw[name] for name in ("group", "lock", "holder", "since")]
        if raw["v"] != 1 or raw["cluster"] != cluster or not all(isinstance(one, str) for one in fields):
            return None
        return Claim(cluster, Group.parse(fields[0]), *fields[1:])
    except (ValueError, KeyError, TypeError, RecursionError, BennuError):
        return None
