"""Who may say yes to what: ``repository.require.second_person``, so that nobody both begins a rotation and ends a part of it alone.

A guard against haste, not against malice: somebody is ``user@machine`` as the journal recorded it, and the journal believes what the operating system says. A disaster (``--dr``) and every way
back are left out: they have words of their own, and may be typed by whoever is awake.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

# What is said, and the journal's fact with who said it.
SAID: Final[Mapping[str, str]] = {"promote": "promoted.by", "drain": "drained.by"}
_UNNAMED = "request"  # what an older Bennu wrote of whoever asked


def barred(verb: str, by: str, started_by: str, required: Collection[str]) -> str:
    """Why *by* may not say *verb* in the rotation that *started_by* began; empty where they may."""
    if verb not in required or by not in (started_by, _UNNAMED):
        return ""
    return f"{verb} needs a second person (repository.require.second_person), and {started_by} started the rotation"


def awaited(verb: str, started_by: str, required: Collection[str]) -> str:
    """What is waited for, in words: the command, and who may not type it."""
    return f"waits for 'bennu rotate {verb}'" + (f" by somebody else than {started_by}, who started the rotation" if verb in required else "")
