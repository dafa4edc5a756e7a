"""The two servers of the critical section: how they are held, what they say in the words of the decisions, and where a fenced one is parked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bennu.core.switchover import Intent, Server
from bennu.errors import DurableStateError
from bennu.ports.redis import Address, Critical, Observation

# Nothing listens on port 1 of the loopback. The source must not be given the target's address before the promotion: were the target behind, the source would be
# answered FULLRESYNC and wipe itself (measured, facts.md).
PARKING = Address("127.0.0.1", 1)


def server(seen: Observation) -> Server:
    """An observation as the decisions take it."""
    return Server(seen.is_master, seen.link_up, seen.run_id, seen.replid, seen.replid2, seen.offset, seen.second_offset)


def handed_over(source: Observation, target: Observation) -> bool:
    """Whether the target is master and the source its connected replica, in one history."""
    return target.is_master and not source.is_master and source.link_up and source.replid == target.replid


def intent_of(facts: Mapping[str, str]) -> Intent | None:
    """The intent that the journal holds, None where none is open."""
    if facts.get("intent.open") != "true":
        return None
    try:
        return Intent(facts["intent.replid"], facts["intent.source_run_id"], facts["intent.target_run_id"], facts.get("intent.withdrawn", ""))
    except KeyError as error:
        raise DurableStateError(
            f"the journal announces a hand-over without saying {error.args[0]}: what it began cannot be told",
            next_step="'bennu rotate status --why' shows its records; who is master, Redis' own ROLE tells",
        ) from None


@dataclass(frozen=True)
class Hands:
    """The two connections of the critical section."""

    source: Critical
    target: Critical
