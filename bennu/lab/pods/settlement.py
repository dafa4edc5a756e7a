"""A nightly job, here every few seconds, that must never run in two clusters at once."""

from __future__ import annotations

import os
import threading

from bennu.lab.pods.ledger_file import append


def main() -> None:
    """Settle for a moment, and say so."""
    append("cron", event="start", job=os.environ.get("POD_NAME", ""))
    threading.Event().wait(0.3)  # the work itself; nothing is waited for
    append("cron", event="stop", job=os.environ.get("POD_NAME", ""))


if __name__ == "__main__":
    main()
