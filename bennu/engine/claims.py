"""One rotation a cluster, whichever group it goes by: what the group's lock claims and lets go of, in the same push as the lock's own record.

A claim names the group and its lock. It holds as long as that is the group's lock: a holder that died holds its clusters still, a lock that was let go of or taken over holds none by its old id, so that
what a crash left behind is told from what is held, and may be taken. Who cannot be told so (the journal lacks that lock: its push is just arriving, or somebody wrote the ref by hand) is
believed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from bennu.core.clusters import Group, uid
from bennu.core.record import Kind, Record
from bennu.core.standing import Lock, folded
from bennu.errors import ClusterHeld
from bennu.ports.repository import Claim, Claimed, Move, Repository


def concerned(records: Sequence[Record], clusters: Collection[str]) -> bool:
    """Whether a push of *records* moves any cluster's ref: it takes the lock, lets go of it, or takes *clusters* under it."""
    return bool(clusters) or any(one.kind in (Kind.LOCK, Kind.RELEASE) for one in records)


def moves(repository: Repository, group: Group, lock: Lock | None, records: Sequence[Record], clusters: Collection[str]) -> tuple[Move, ...]:
    """What that push moves, *lock* being the group's before it. Raises ClusterHeld (4) where another group holds one of *clusters*, UsageError for what is no UID."""
    kinds = {one.kind for one in records}
    taken = next((one for one in reversed(records) if one.kind is Kind.LOCK), None)
    lock = lock if taken is None else Lock(taken.nonce, taken.holder, taken.at, taken.epoch)
    wanted = () if Kind.RELEASE in kinds or lock is None else tuple(sorted({uid(one) for one in clusters}))
    found = repository.claims()
    made = [_taken(repository, group, lock, cluster, found.get(cluster)) for cluster in wanted if lock is not None]
    # By the new lock's id what the old one held is held no more: either it is claimed anew, or it goes.
    over = found if kinds & {Kind.LOCK, Kind.RELEASE} else {}
    gone = [Move(cluster, one.tip, None) for cluster, one in over.items() if one.claim is not None and one.claim.group == group and cluster not in wanted]
    return tuple(move for move in (*made, *gone) if move is not None)


def _taken(repository: Repository, group: Group, lock: Lock, cluster: str, there: Claimed | None) -> Move | None:
    """The move that takes a cluster; None where *lock* has it already."""
    if there is not None and (there.claim is None or there.claim.group != group):
        _judged(repository, group, cluster, there)
    claim = Claim(cluster, group, lock.id, lock.holder, lock.since)
    return None if there is not None and there.claim == claim else Move(cluster, "" if there is None else there.tip, claim)


def _judged(repository: Repository, group: Group, cluster: str, there: Claimed) -> None:
    """Raise ClusterHeld unless what *there* names was let go of."""
    claim, by_hand = there.claim, f"if no rotation of it runs: git push <remote> :{there.ref}"
    if claim is None:
        raise ClusterHeld(f"{there.ref} says nothing that Bennu wrote: who holds that cluster cannot be told", next_step=by_hand)
    records = repository.journal(claim.group).records
    standing = folded(records)
    known = any(one.kind is Kind.LOCK and one.nonce == claim.lock for one in records)
    if known and (standing.lock is None or standing.lock.id != claim.lock):
        return
    where = f"rotation {standing.rotation} in {standing.state}" if known else "a lock that its journal does not have (yet)"
    raise ClusterHeld(
        f"a cluster of {group} (UID {cluster}) is held by {claim.group}: {where}, by {claim.holder} since {claim.since} (lock {claim.lock})",
        next_step=f"wait for its end ('bennu rotate status --group {claim.group}')"
        + (f"; if that holder is dead: 'bennu rotate resume --group {claim.group} --take-over {claim.lock}'" if known else f"; {by_hand}")
        + "; if the two should not share a cluster, mend groups.<group>.clusters in bennu.yaml",
    )
