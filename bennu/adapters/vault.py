"""Values of Vault's KV engine, version 2 (OpenBao speaks the same), read when they are needed and kept nowhere. The door to hvac, which only the extra ``vault`` installs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bennu.errors import DependencyDown, UsageError

_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class VaultEndpoint:
    """How Vault is reached. ``token`` is asked at each reading and gets into no message; ``ca_file`` and ``namespace`` are empty where there is none."""

    url: str
    token: Callable[[], str]
    ca_file: str = ""
    namespace: str = ""


@dataclass(frozen=True)
class Field:
    """One key of a secret: ``<mount>/<path>#<key>``. The mount is the first part, since no listing of mounts is asked for."""

    mount: str
    path: str
    key: str

    @classmethod
    def parse(cls, text: str) -> Field:
        """From ``<mount>/<path>#<key>``."""
        place, _, key = text.partition("#")
        mount, _, path = place.partition("/")
        return cls(mount, path, key)

    def __str__(self) -> str:
        return f"{self.mount}/{self.path}#{self.key}"


def vault_value(vault: VaultEndpoint, field: Field) -> Callable[[], str]:
    """Reads *field*. The callable raises DependencyDown where Vault does not answer, refuses the token or lacks the value; UsageError without hvac."""

    def read() -> str:
        found = _read(vault, field).get(field.key)
        if not isinstance(found, str) or not found:
            raise DependencyDown(f"Vault's {field} is missing or no text", next_step="check redis[].auth.password in bennu.yaml")
        return found

    return read


def token_end(vault: VaultEndpoint, now: datetime) -> datetime | None:
    """When the token ends, None for one that never does. Raises as ``vault_value`` does."""
    found = _asked(vault, lambda client: client.auth.token.lookup_self(), "its own token (auth/token/lookup-self, which the policy default allows)")
    # By what is left of it, not by its time: that is Vault's clock.
    return None if not found.get("expire_time") else now + timedelta(seconds=float(found["ttl"]))


def _read(vault: VaultEndpoint, field: Field) -> dict[str, Any]:
    place = f"{field.mount}/{field.path}"
    found = _asked(vault, lambda client: client.secrets.kv.v2.read_secret_version(field.path, mount_point=field.mount, raise_on_deleted_version=True), place)[
        "data"
    ]
    return found if isinstance(found, dict) else {}


def _asked(vault: VaultEndpoint, question: Callable[[Any], Any], what: str) -> dict[str, Any]:
    """The ``data`` of the answer to *question*; *what* is asked for, in words."""
    try:
        import hvac
        import requests
    except ImportError:
        raise UsageError("a secret lies in Vault, and the package hvac is not installed", next_step="pip install 'bennu[vault]'") from None
    with requests.Session() as session:
        # Else REQUESTS_CA_BUNDLE of the environment would be trusted instead of the authority that is named.
        session.trust_env = False
        session.verify = vault.ca_file or True
        client = hvac.Client(vault.url, vault.token(), verify=session.verify, timeout=_TIMEOUT_S, session=session, namespace=vault.namespace or None)
        try:
            found = question(client)["data"]
            if not isinstance(found, dict):
                raise TypeError
        except hvac.exceptions.InvalidPath:
            raise DependencyDown(f"Vault has no secret {what}", next_step="check redis[].auth.password in bennu.yaml") from None
        except (hvac.exceptions.Forbidden, hvac.exceptions.Unauthorized):
            raise DependencyDown(f"Vault refuses to show {what}", next_step="renew the token that vault.login names, or its policy") from None
        except (hvac.exceptions.VaultError, requests.RequestException, KeyError, TypeError, ValueError, OSError) as error:
            # Only its kind: the text of a request's error may repeat what was sent.
            raise DependencyDown(
                f"Vault at {vault.url} does not answer ({type(error).__name__})", next_step="look whether it is sealed: vault status"
            ) from None
    return found
