"""Where secrets come from: the environment, a file, Vault. Read when they are needed, kept nowhere, named in no message."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from bennu.adapters.vault import Field, VaultEndpoint, token_end, vault_value
from bennu.core.clusters import Colour
from bennu.core.expiry import Expiry
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
    endpoint = _vault(reference, vault, environ)
    return secret(place, environ) if endpoint is None else vault_value(endpoint, Field.parse(place.partition(":")[2]))


def login_ends(reference: str | None, vault: VaultSettings | None, environ: Mapping[str, str]) -> Callable[[], tuple[Expiry, ...]]:
    """When the login ends by which *reference* is read: Vault's token, where it lies there."""
    endpoint = _vault(reference or "", vault, environ)

    def asked() -> tuple[Expiry, ...]:
        end = None if endpoint is None else token_end(endpoint, datetime.now(UTC))
        return () if end is None else (Expiry("Vault's token (vault.login.token)", end, "renew it (vault token renew), or log in to Vault again"),)

    return asked


def _vault(reference: str, vault: VaultSettings | None, environ: Mapping[str, str]) -> VaultEndpoint | None:
    if not reference.startswith("vault:") or vault is None:
        return None
    return VaultEndpoint(vault.address, secret(vault.login.token, environ), vault.ca_file or "", vault.namespace or "")
