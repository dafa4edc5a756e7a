"""The state machine of one rotation.

Rules:

1. The table below is the whole machine. A (state, event) pair that isn't in it is illegal: ``advance`` raises and nothing changes.
2. A rotation starts and ends in IDLE_STABLE.
3. Before the switch every state can go back to IDLE_STABLE at the source (ROLLBACK). From SWITCHOVER_LOCKED the way back is ABORT, to TRAFFIC_CANARY, and only
   until the target was promoted; the phase guards that, with the servers' own roles.
4. After promotion the way back is REVERSE: the same switchover with the roles swapped, lossless while the reverse link lives.
5. From DRAINING there is no way back: the links are gone, and with them the replication that would make it lossless.
6. A dead source's replica is promoted by DISASTER, never by itself: a human accepts the loss. Such a rotation ends by KEEP_SOURCE, since what the source acknowledged last is on its volumes alone.

``docs/state-machine.md`` is drawn from this table by ``python -m bennu.core.fsm``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from bennu.core.states import Event, State
from bennu.errors import GateRefused

_S, _E = State, Event

TABLE: Final[Mapping[tuple[State, Event], State]] = MappingProxyType(
    {
        # The specification's own arrows.
        (_S.IDLE_STABLE, _E.START): _S.PROVISIONING,
        (_S.PROVISIONING, _E.CLUSTER_READY): _S.BOOTSTRAPPING,
        (_S.BOOTSTRAPPING, _E.FLUX_READY): _S.MESH_LINKING,
        (_S.MESH_LINKING, _E.LINK_READY): _S.DATA_SYNCING,
        (_S.DATA_SYNCING, _E.REPLICATION_COMPLETE): _S.TRAFFIC_CANARY,
        (_S.TRAFFIC_CANARY, _E.HEALTH_VALIDATED): _S.SWITCHOVER_LOCKED,
        (_S.TRAFFIC_CANARY, _E.ROLLBACK): _S.IDLE_STABLE,
        (_S.SWITCHOVER_LOCKED, _E.PROMOTION_COMPLETE): _S.PROMOTED,
        (_S.PROMOTED, _E.DNS_UPDATED): _S.DRAINING,
        (_S.DRAINING, _E.CLEANUP_COMPLETE): _S.IDLE_STABLE,
        # Added: the spec draws its rollback from the canary alone, but a target that never came up must be taken down too.
        (_S.PROVISIONING, _E.ROLLBACK): _S.IDLE_STABLE,
        (_S.BOOTSTRAPPING, _E.ROLLBACK): _S.IDLE_STABLE,
        (_S.MESH_LINKING, _E.ROLLBACK): _S.IDLE_STABLE,
        (_S.DATA_SYNCING, _E.ROLLBACK): _S.IDLE_STABLE,
        # Added: the pause ran out, or a pre-check failed, before anything was promoted; the source goes on as master.
        (_S.SWITCHOVER_LOCKED, _E.ABORT): _S.TRAFFIC_CANARY,
        # Added: the spec's "emergency" rollback, as a switchover of its own with the roles swapped. It ends as an ABORT does: in the canary, at the source.
        (_S.PROMOTED, _E.REVERSE): _S.SWITCHOVER_LOCKED,
        # Added: `--keep-source` ends the rotation with two clusters, as the spec's S0 allows ("two clusters active"); `rotate cleanup` drains later.
        (_S.PROMOTED, _E.KEEP_SOURCE): _S.IDLE_STABLE,
        # Added: the source died while a replica of it stands by, in a rotation or kept from one. What stands between here and the promotion asks the source, which answers nothing.
        (_S.IDLE_STABLE, _E.DISASTER): _S.SWITCHOVER_LOCKED,
        (_S.DATA_SYNCING, _E.DISASTER): _S.SWITCHOVER_LOCKED,
        (_S.TRAFFIC_CANARY, _E.DISASTER): _S.SWITCHOVER_LOCKED,
    }
)


class IllegalTransition(GateRefused):
    """The event makes no sense in this state; nothing was changed."""


_WHY_NOT: Final[Mapping[tuple[State, Event], str]] = MappingProxyType(
    {
        (_S.DRAINING, _E.ROLLBACK): "the source is being taken down and its links are gone: there is nothing left to go back to without losing writes",
        (_S.DRAINING, _E.REVERSE): "the source is being taken down and its links are gone: there is nothing left to go back to without losing writes",
        (_S.PROMOTED, _E.ROLLBACK): "the target is the write master now: going back is a reverse switchover, not a plain rollback",
        (_S.SWITCHOVER_LOCKED, _E.ROLLBACK): "the write authority is being handed over: abort first, or wait for the promotion",
        (_S.IDLE_STABLE, _E.ROLLBACK): "no rotation is open",
        (_S.IDLE_STABLE, _E.HEALTH_VALIDATED): "no rotation is open",
        (_S.IDLE_STABLE, _E.ABORT): "no rotation is open",
        **{
            (state, _E.DISASTER): "the target holds no data yet: nothing can take over from the source"
            for state in (_S.PROVISIONING, _S.BOOTSTRAPPING, _S.MESH_LINKING)
        },
    }
)


def allowed(state: State, event: Event) -> bool:
    """Whether the table has the pair."""
    return (state, event) in TABLE


def advance(state: State, event: Event) -> State:
    """The state after *event*. Raises IllegalTransition, naming what is possible instead."""
    try:
        return TABLE[(state, event)]
    except KeyError:
        why = _WHY_NOT.get((state, event), f"'{event}' does not happen in {state}")
        possible = ", ".join(sorted(e.value for s, e in TABLE if s is state))
        raise IllegalTransition(
            f"refused in {state}: {why}", next_step=f"possible from here: {possible}; 'bennu rotate status' shows where the rotation stands"
        ) from None


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> IDLE_STABLE"]
    lines += [f"    {s} --> {target}: {e}" for (s, e), target in TABLE.items()]
    return "\n".join(lines) + "\n"


def page() -> str:
    """``docs/state-machine.md``, whole."""
    rows = "\n".join(f"| S{s.number} | `{s}` | {e} | S{t.number} `{t}` |" for (s, e), t in sorted(TABLE.items(), key=lambda row: (row[0][0].number, row[0][1])))
    rules = (__doc__ or "").split("Rules:\n\n", 1)[1].split("\n\n``docs", 1)[0]
    return (
        "# The state machine\n\n<!-- Drawn from bennu/core/fsm.py by `python -m bennu.core.fsm`; a test fails when this page is stale. -->\n\n"
        f"{rules}\n\n```mermaid\n{diagram()}```\n\n| | state | event | goes to |\n|---|---|---|---|\n{rows}\n\n"
        "Beside the state stands a *status*: `running`, `paused` (waits for a human and says for what), `failed` (says why), `aborting`, `done`.\n"
    )


if __name__ == "__main__":
    import sys

    sys.stdout.write(page())
