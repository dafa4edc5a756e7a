"""Change control (``repository.require``) at the door: what a command is refused for before it takes a lock."""

from __future__ import annotations

import re

from bennu.core.clusters import Group
from bennu.core.consent import SAID, barred
from bennu.engine.turns import Wishes
from bennu.errors import GateRefused, UsageError
from bennu.settings.repository import RequireSettings


def ticketed(require: RequireSettings, ticket: str, *, needed: bool) -> None:
    """Raises UsageError for a change's number that is missing where it is *needed*, or not as it must be."""
    pattern = require.ticket
    if pattern and (ticket or needed) and not re.fullmatch(pattern, ticket):
        what = f"--ticket {ticket!r} does not match {pattern}" if ticket else f"repository.require.ticket wants a --ticket that matches {pattern}"
        raise UsageError(what, next_step="give the change's number with --ticket")
    if ticket and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/#-]{0,63}", ticket):
        raise UsageError(f"--ticket {ticket!r} has characters that a commit trailer must not have", next_step="use letters, digits and . _ / # -")


def second_person(require: RequireSettings, group: Group, verb: str, by: str, started_by: str, *, command: str = "") -> None:
    """Raises GateRefused (3) where *by* may not say *verb*, by its own *command* where that is another one."""
    if why := barred(verb, by, started_by, require.second_person):
        raise GateRefused(why, next_step=f"have somebody else type 'bennu rotate {command or verb} --group {group}'")


def words_ahead(require: RequireSettings, group: Group, wanted: Wishes, by: str, started_by: str) -> None:
    """The same for what *wanted* says ahead (``--auto-promote``)."""
    for verb in SAID:
        if wanted.says(verb):
            second_person(require, group, verb, by, started_by)
