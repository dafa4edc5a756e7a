"""Errors in words: what happened, what was changed, what to do next."""

from __future__ import annotations

from bennu.errors import BennuError


def told(error: BennuError) -> str:
    """Three lines for stderr (the last only where there is something to do)."""
    lines = [f"bennu: {error.message}", f"  changed: {error.changed}"]
    if error.next_step:
        lines.append(f"  next:    {error.next_step}")
    return "\n".join(lines) + "\n"
