"""Whether the user's Git signs, and whether notes commits are signed with it: every record of the journal is one, heartbeats included.

``auto`` signs notes where commits are signed, unless the key asks for a touch each time: a FIDO key of ssh's (``sk-``), or one of which nothing is known beforehand. What an OpenPGP card or an
agent asks for cannot be told here.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from bennu.adapters.git_process import Ran

_TOUCH = ("sk-ssh-", "sk-ecdsa-")


class Signing:
    """What the configuration says, read once. *git* runs a local command, *notes* is auto, always or never."""

    def __init__(self, git: Callable[..., Ran], notes: str) -> None:
        self._git, self._wanted = git, notes

    @cached_property
    def commits(self) -> bool:
        """Sign commits: ``commit.gpgsign``."""
        return self._git("config", "--type=bool", "--get", "commit.gpgsign").out.strip() == "true"

    @cached_property
    def notes(self) -> bool:
        """Sign notes commits."""
        return self._wanted == "always" or (self._wanted == "auto" and self.commits and not self._touched)

    @property
    def _touched(self) -> bool:
        if self._config("gpg.format") != "ssh":
            return False
        key = self._git("config", "--type=path", "--get", "user.signingkey").out.strip()
        return _wants_touch(key)

    def _config(self, name: str) -> str:
        return self._git("config", "--get", name).out.strip()


def _wants_touch(key: str) -> bool:
    """Of ``user.signingkey`` for ssh: a public key, or a file that has one of the two. True where nothing can be told, as with ``gpg.ssh.defaultKeyCommand``."""
    text = key.removeprefix("key::")
    if re.match(r"(ssh|sk|ecdsa)-", text):
        return text.startswith(_TOUCH)
    try:
        file = Path(key)
        public = file.with_name(f"{file.name}.pub")
        text = (public if public.is_file() else file).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return True
    if "PRIVATE KEY" not in text:
        return text.startswith(_TOUCH)
    body = "".join(line for line in text.splitlines() if not line.startswith("-----"))
    try:
        return any(kind.encode() in base64.b64decode(body) for kind in _TOUCH)
    except ValueError:
        return True
