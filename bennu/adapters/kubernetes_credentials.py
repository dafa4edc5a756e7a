"""Who Bennu is to a Kubernetes API: tokens, token files, exec plugins, client certificates, and their renewal in the middle of a run.

It knows nothing of requests. A browser is never opened and nothing is asked where the operator said ``--no-input``.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bennu.adapters.kubeconfig import Plugin, Server, User
from bennu.errors import DependencyDown, UsageError

# Renewed this long before the end, so that no request starts with a token that dies on the way (kubectl does the same).
_MARGIN = timedelta(seconds=30)
_PLUGIN_TIMEOUT_S = 60.0
# What programs try in order to open a browser, where the BROWSER variable is not asked.
_BROWSERS = ("open", "xdg-open", "x-www-browser", "www-browser", "sensible-browser", "gnome-open", "kde-open")


@dataclass(frozen=True)
class Manners:
    """What a credential may do. ``plugins`` lists the exec commands allowed (by name or path); None allows any that the kubeconfig names."""

    no_input: bool = False
    plugins: tuple[str, ...] | None = None


FREE = Manners()


@dataclass(frozen=True, repr=False)
class Grant:
    """A credential at one moment: the ``Authorization`` header (may be empty), a client certificate with key (PEM), and when it ends (None = not known)."""

    authorization: str = ""
    certificate: str = ""
    key: str = ""
    expires: datetime | None = None


class Credentials:
    """Keeps the current grant of one user; ``renewed`` replaces it after the API refused it. Safe to use from several threads."""

    def __init__(self, user: User, server: Server, manners: Manners) -> None:
        self._user = user
        self._server = server
        self._manners = manners
        self._lock = threading.Lock()
        self._grant: Grant | None = None

    def current(self, needed_until: datetime | None = None) -> Grant:
        """The grant to use now; the first call, or one near the grant's end (or whose end is before *needed_until*), obtains it."""
        with self._lock:
            grant, now = self._grant, datetime.now(UTC)
            if grant is None or (grant.expires is not None and max(now, needed_until or now) > grant.expires - _MARGIN):
                grant = self._grant = self._obtain()
            return grant

    def renewed(self, refused: Grant) -> Grant | None:
        """A grant that differs from the *refused* one, or None if there is none: a token file read again, a plugin run once more."""
        with self._lock:
            if self._grant is not None and self._grant != refused:
                return self._grant  # another thread was faster
            self._grant = self._obtain()
            return self._grant if self._grant != refused else None

    def _obtain(self) -> Grant:
        user, secrets = self._user, self._user.secrets
        if user.token_file:
            return _bearer(_token_file(user), secrets.certificate, secrets.key)
        if secrets.token:
            return _bearer(secrets.token, secrets.certificate, secrets.key)
        if user.plugin is not None:
            return _plugin_grant(user.plugin, user.name, self._server, self._manners)
        if secrets.username:
            pair = base64.b64encode(f"{secrets.username}:{secrets.password}".encode()).decode()
            return Grant(f"Basic {pair}", secrets.certificate, secrets.key)
        return Grant("", secrets.certificate, secrets.key)


def _token_file(user: User) -> str:
    try:
        return Path(user.token_file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise DependencyDown(f"the token file {user.token_file} of user {user.name!r} cannot be read: {error.strerror}") from None


def _bearer(token: str, certificate: str, key: str, expires: datetime | None = None) -> Grant:
    return Grant(f"Bearer {token}", certificate, key, expires or _jwt_end(token))


def _jwt_end(token: str) -> datetime | None:
    """The ``exp`` of a JWT; None for anything else. The signature is the API server's to check."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return datetime.fromtimestamp(float(claims["exp"]), UTC)
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


def _plugin_grant(plugin: Plugin, user: str, server: Server, manners: Manners) -> Grant:
    command = _allowed(plugin, user, manners)
    interactive = _interactive(plugin, user, manners)
    info: dict[str, Any] = {"interactive": interactive}
    if plugin.wants_cluster:
        info["cluster"] = _cluster_info(server)
    request = json.dumps({"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": info})
    env = {**os.environ, **dict(plugin.env), "KUBERNETES_EXEC_INFO": request}
    with _without_browser(env, manners) as quiet:
        status = _run(command, plugin, user, (quiet, interactive))
    return _grant(status, user)


def _allowed(plugin: Plugin, user: str, manners: Manners) -> str:
    if manners.plugins is not None and plugin.command not in manners.plugins and Path(plugin.command).name not in manners.plugins:
        raise UsageError(
            f"user {user!r} of the kubeconfig runs {plugin.command!r}, which kubernetes.exec_plugins does not allow",
            next_step=f"allowed: {', '.join(manners.plugins) or 'none'}; add it in bennu.yaml if you trust it",
        )
    path = str(Path(plugin.folder) / plugin.command) if "/" in plugin.command else plugin.command
    found = shutil.which(path)
    if found is None:
        raise UsageError(
            f"the exec plugin {plugin.command!r} of user {user!r} is not installed", next_step=plugin.install_hint or "install it, or fix the kubeconfig"
        )
    return found


def _interactive(plugin: Plugin, user: str, manners: Manners) -> bool:
    possible = not manners.no_input and sys.stdin is not None and sys.stdin.isatty()
    if plugin.interactive_mode == "Always" and not possible:
        raise UsageError(
            f"the exec plugin {plugin.command!r} of user {user!r} always asks (interactiveMode: Always), and there is nobody to ask",
            next_step="log in with it first and use a user that needs no input, or run in a terminal without --no-input",
        )
    return possible and plugin.interactive_mode != "Never"


def _cluster_info(server: Server) -> dict[str, Any]:
    info: dict[str, Any] = {"server": server.url}
    if server.ca_pem:
        info["certificate-authority-data"] = base64.b64encode(server.ca_pem.encode()).decode()
    if server.tls_server_name:
        info["tls-server-name"] = server.tls_server_name
    if server.proxy_url:
        info["proxy-url"] = server.proxy_url
    if server.exec_config is not None:
        info["config"] = server.exec_config
    return info


@contextmanager
def _without_browser(env: Mapping[str, str], manners: Manners) -> Iterator[dict[str, str]]:
    """The environment in which no browser opens: BROWSER fails, there is no display, and the usual openers are shadowed on PATH by ones that fail."""
    if not manners.no_input:
        yield dict(env)
        return
    with tempfile.TemporaryDirectory(prefix="bennu-no-browser-") as folder:
        for name in _BROWSERS:
            opener = Path(folder) / name
            opener.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
            opener.chmod(0o700)
        quiet = {name: value for name, value in env.items() if name not in {"DISPLAY", "WAYLAND_DISPLAY"}}
        quiet["BROWSER"] = str(Path(folder) / "www-browser")
        quiet["PATH"] = os.pathsep.join([folder, env.get("PATH", os.defpath)])
        yield quiet


def _run(command: str, plugin: Plugin, user: str, manner: tuple[dict[str, str], bool]) -> Mapping[str, Any]:
    env, interactive = manner
    what = f"the exec plugin {plugin.command!r} of user {user!r}"
    hint = "run it by hand to see why, or log in again"
    try:
        done = subprocess.run(
            [command, *plugin.args],
            env=env,
            stdin=None if interactive else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=None if interactive else subprocess.PIPE,
            timeout=None if interactive else _PLUGIN_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DependencyDown(f"{what} gave no credential within {_PLUGIN_TIMEOUT_S:.0f} s", next_step=hint) from None
    except OSError as error:
        raise UsageError(f"{what} cannot be run: {error.strerror}", next_step=plugin.install_hint or hint) from None
    if done.returncode != 0:
        lines = (done.stderr or b"").decode(errors="replace").strip().splitlines()
        words = f": {lines[-1][:300]}" if lines else ""
        raise DependencyDown(f"{what} failed (exit {done.returncode}){words}", next_step=hint)
    try:
        answer = json.loads(done.stdout)
        status = answer["status"]
        if answer["kind"] != "ExecCredential" or not isinstance(status, dict):
            raise ValueError
    except (ValueError, KeyError, TypeError):
        # Never shown: the output may hold the credential.
        raise DependencyDown(f"{what} did not answer with an ExecCredential", next_step=hint) from None
    if answer.get("apiVersion") != plugin.api_version:
        raise DependencyDown(
            f"{what} answered as {answer.get('apiVersion')!r}, asked for was {plugin.api_version!r}", next_step="align apiVersion in the kubeconfig"
        )
    return status


def _grant(status: Mapping[str, Any], user: str) -> Grant:
    token = str(status.get("token") or "")
    certificate, key = str(status.get("clientCertificateData") or ""), str(status.get("clientKeyData") or "")
    if not token and not (certificate and key):
        raise DependencyDown(f"the exec plugin of user {user!r} gave neither a token nor a certificate with key")
    end = status.get("expirationTimestamp")
    try:
        expires = None if not end else datetime.fromisoformat(str(end)).astimezone(UTC)
    except ValueError:
        expires = None
    return _bearer(token, certificate, key, expires) if token else Grant("", certificate, key, expires)
