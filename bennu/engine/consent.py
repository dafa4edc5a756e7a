"""A human's word before a phase is left: whether one is waited for, and whether it was said by somebody who may."""

from __future__ import annotations

from bennu.core.consent import SAID, barred
from bennu.core.record import Kind
from bennu.core.states import Status
from bennu.engine.journal import Entry
from bennu.engine.turns import Wishes
from bennu.phases.base import World


def consent(verb: str, by: str) -> Entry:
    """That *by* said *verb*: from here on the run waits for it no more."""
    return Entry(Kind.FACT, data={SAID[verb]: by}, status=Status.RUNNING)


def said(verb: str, world: World, wishes: Wishes, here: str) -> tuple[Entry, ...] | None:
    """None: nobody said it who may. Else what is to be recorded: nothing where it was said before, that *here* says it where *wishes* do.

    Said by somebody who may not, it is waited for all the same: a run must not end by that with traffic at the target.
    """
    starter, required = world.rotation.started_by, world.settings.repository.require.second_person
    by = world.facts.get(SAID[verb], "")
    if by and not barred(verb, by, starter, required):
        return ()
    return (consent(verb, here),) if wishes.says(verb) and not barred(verb, here, starter, required) else None
