"""Where secrets come from: the environment, a file, Vault. Read when they are needed, kept nowhere, named in no message."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from bennu.adapters.vault import Field, VaultEndpoint, vault_value
from bennu.core.clusters import Colour
from bennu.errors import ConfigError, UsageError
from bennu.settings.platform import VaultSettings


def secret(reference: str | None, environ: Mapping[str, str]) -> Callable[[], str]:
    """``env:NAME`` or ``file:/path``, read when it is needed; empty for None."""

    def read() -> str:
        if not reference:
            return ""
        kind, _, name = reference.partition(":")
        if kind == "env":
            if name not in environ:
                raise UsageError(f"the environment has no {name}, which bennu.yaml names for a secret", next_step=f"export {name}")
            return environ[name]
        try:
            return Path(name).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigError(f"a secret cannot be read: {error.strerror}", file=name) from None

    return read


def coloured_secret(reference: str, colour: Colour, vault: VaultSettings | None, environ: Mapping[str, str]) -> Callable[[], str]:
    """The same, with ``{colour}`` filled in, and ``vault:<mount>/<path>#<key>`` beside them."""
    place = reference.replace("{colour}", colour.value)
    kind, _, name = place.partition(":")
    if kind != "vault" or vault is None:
        return secret(place, environ)
    token = secret(vault.login.token, environ)
    return vault_value(VaultEndpoint(vault.address, token, vault.ca_file or "", vault.namespace or ""), Field.parse(name))
