"""Who is asking: bearer tokens, those of the cluster's admin and those of ServiceAccounts. Tokens are compared by digest and never shown."""

from __future__ import annotations

import base64
import binascii
import hashlib
import time
from dataclasses import dataclass

from bennu.lab.kubeapi.attendants import ACCOUNT_NAME, ACCOUNTS, SECRETS, TOKEN_TYPE, fresh_token
from bennu.lab.kubeapi.problems import unauthorized
from bennu.lab.kubeapi.store import Address, Store


@dataclass(frozen=True)
class User:
    """As TokenReview and RBAC see a caller. ``namespace`` is set for ServiceAccounts."""

    name: str
    groups: tuple[str, ...]
    uid: str = ""

    @property
    def is_admin(self) -> bool:
        """Whether RBAC is not asked."""
        return "system:masters" in self.groups


ADMIN = User("lab-admin", ("system:masters", "system:authenticated"))


def account_user(namespace: str, name: str, uid: str) -> User:
    """A ServiceAccount as a user."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
    return User(f"system:serviceaccount:{namespace}:{name}", groups, uid)


def impersonated(name: str, groups: tuple[str, ...]) -> User:
    """The user that ``--as`` and ``--as-group`` name. A ServiceAccount's own groups come with its name, as upstream does it."""
    parts = name.split(":")
    if parts[:2] == ["system", "serviceaccount"] and len(parts) == 4 and not groups:
        return account_user(parts[2], parts[3], "")
    return User(name, (*groups, "system:authenticated"))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


class Identities:
    """Tokens → users. ServiceAccount tokens are looked up in the Secrets that hold them, so that deleting the Secret revokes its token at once."""

    def __init__(self, store: Store, admin_token: str) -> None:
        self._store = store
        self._admin = _digest(admin_token)
        self._issued: dict[bytes, tuple[str, str, float]] = {}
        self._seen_revision = -1
        self._from_secrets: dict[bytes, tuple[str, str]] = {}

    def user(self, authorization: str) -> User:
        """The caller behind an ``Authorization`` header. Raises 401."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise unauthorized()
        found = self.of_token(token.strip())
        if found is None:
            raise unauthorized()
        return found

    def of_token(self, token: str) -> User | None:
        """The caller who holds *token*, if it is known and has not run out."""
        digest = _digest(token)
        if digest == self._admin:
            return ADMIN
        place = self._secret_tokens().get(digest)
        if place is None and digest in self._issued:
            namespace, name, until = self._issued[digest]
            place = (namespace, name) if time.time() < until else None
        if place is None:
            return None
        account = self._store.get(Address(ACCOUNTS, *place))
        return account_user(*place, account["metadata"]["uid"]) if account is not None else None

    def issue(self, namespace: str, name: str, seconds: int) -> str:
        """A token that lasts *seconds* (the TokenRequest subresource)."""
        token = fresh_token()
        self._issued[_digest(token)] = (namespace, name, time.time() + seconds)
        return token

    def _secret_tokens(self) -> dict[bytes, tuple[str, str]]:
        latest = self._store.log(SECRETS).latest
        if latest != self._seen_revision:
            self._from_secrets = dict(self._read_secrets())
            self._seen_revision = latest
        return self._from_secrets

    def _read_secrets(self) -> list[tuple[bytes, tuple[str, str]]]:
        found: list[tuple[bytes, tuple[str, str]]] = []
        for secret in self._store.list(SECRETS):
            encoded = (secret.get("data") or {}).get("token")
            name = (secret["metadata"].get("annotations") or {}).get(ACCOUNT_NAME)
            if secret.get("type") != TOKEN_TYPE or not encoded or not name:
                continue
            try:
                token = base64.b64decode(encoded, validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                continue
            found.append((_digest(token), (secret["metadata"]["namespace"], name)))
        return found
