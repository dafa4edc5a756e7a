"""Seeds Redis' configuration onto the data volume where there is none yet, with the password from a Secret: from then on CONFIG REWRITE persists there."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bennu.lab.places import write_private


def main() -> None:
    """``seedconf <template> <target>``."""
    template, target = Path(sys.argv[1]), Path(sys.argv[2])
    if target.exists():
        return  # a restart comes back in the role that was written, never in the manifest's
    text = template.read_text(encoding="utf-8")
    password = os.environ.get("REDIS_PASSWORD", "")
    if password:
        text += f"\nrequirepass {_quoted(password)}\nmasterauth {_quoted(password)}\n"
    write_private(target, f"{text}\ndir {_quoted(str(target.parent))}\n")


def _quoted(word: str) -> str:
    """*word* as a configuration file of Redis holds any text: between double quotes."""
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


if __name__ == "__main__":
    main()
