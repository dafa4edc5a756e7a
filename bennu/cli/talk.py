"""Errors in words: what happened, what was changed, what to do next."""

from __future__ import annotations

from bennu.errors import BennuError


def told(error: BennuError) -> str:
    """Three lines for stderr."""
    return f"bennu: {error.message}\n  changed: {error.changed}\n  next:    {error.next_step or error.usually}\n"


def bug(error: BaseException, *, changed: str, next_step: str) -> BennuError:
    """What should not have happened, as an error for people (1)."""
    return BennuError(f"this is a bug in bennu: {type(error).__name__}: {error}", changed=changed, next_step=next_step)
