"""Reads kubeconfig files as people have them: several files merged, relative paths, every way to reach and to authenticate.

An own reader, since the released Kubernetes client drops ``proxy-url`` (in some versions without a word), swallows the errors of exec plugins and costs 240–400 ms
to import. It decides nothing and opens no connection: it returns what the files say, checked. ``insecure-skip-tls-verify`` is refused by name.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from bennu.errors import ConfigError, UsageError

# A kubeconfig with hundreds of contexts stays far below this; more is no kubeconfig.
MAX_BYTES = 4 * 1024 * 1024
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_PROXY_SCHEMES = {"http", "https", "socks5", "socks5h"}


@dataclass(frozen=True)
class Server:
    """Where the API is. ``ca_pem`` is empty where the system's trust store decides; ``proxy_url`` and ``tls_server_name`` are empty where the file says nothing."""

    url: str
    ca_pem: str
    tls_server_name: str
    proxy_url: str
    exec_config: Any = None  # the cluster's extension for exec plugins (client.authentication.k8s.io/exec), passed on as it is


@dataclass(frozen=True)
class Plugin:
    """A user's ``exec`` section. A command with a slash is relative to ``folder``, the kubeconfig's own."""

    command: str
    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    api_version: str
    interactive_mode: str  # Never, IfAvailable or Always
    wants_cluster: bool
    install_hint: str
    folder: str


@dataclass(frozen=True)
class User:
    """How to authenticate; empty = not given. Secrets are kept out of ``repr``, so that no message can show them."""

    name: str
    token_file: str
    plugin: Plugin | None
    secrets: Secrets


@dataclass(frozen=True, repr=False)
class Secrets:
    """The secret parts of a user entry; PEM texts for ``certificate`` and ``key``."""

    token: str = ""
    username: str = ""
    password: str = ""
    certificate: str = ""
    key: str = ""


@dataclass(frozen=True)
class Access:
    """Everything that a connection to one context needs."""

    context: str
    server: Server
    user: User


@dataclass(frozen=True)
class _Entry:
    """A named entry and the file that it came from (relative paths in it are relative to that file's folder)."""

    body: Mapping[str, Any]
    file: Path

    def text(self, key: str) -> str:
        value = self.body.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise ConfigError(f"{key} must be a text, not {type(value).__name__}", file=str(self.file))
        return value

    def path(self, key: str) -> Path | None:
        text = self.text(key)
        return self.file.parent / Path(text).expanduser() if text else None

    def pem(self, key: str) -> str:
        """The PEM of ``<key>-data`` (base64; it wins, as with kubectl) or of the file named by ``<key>``."""
        data = self.text(f"{key}-data")
        if data:
            try:
                return base64.b64decode(data, validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                raise ConfigError(f"{key}-data is not base64 of a PEM text", file=str(self.file)) from None
        path = self.path(key)
        return "" if path is None else _read(path, f"{key} of {self.file}")


@dataclass(frozen=True)
class _Merged:
    """All files together; the first file that defines a name wins, as with kubectl."""

    files: tuple[Path, ...]
    contexts: Mapping[str, _Entry]
    clusters: Mapping[str, _Entry]
    users: Mapping[str, _Entry]


def default_files(env: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """The files that ``KUBECONFIG`` lists, else ``~/.kube/config``."""
    listed = [Path(part).expanduser() for part in env.get("KUBECONFIG", "").split(os.pathsep) if part]
    return tuple(listed) or (Path("~/.kube/config").expanduser(),)


def contexts(files: Sequence[Path] = ()) -> tuple[str, ...]:
    """The names of all contexts, sorted."""
    return tuple(sorted(_merged(files).contexts))


def load(context: str, files: Sequence[Path] = ()) -> Access:
    """The access that *context* stands for. *files* empty: those of ``KUBECONFIG``, or the default one.

    Raises UsageError for a context that isn't there (listing those that are), ConfigError (file, line) for a file that can't be read or says something wrong.
    """
    merged = _merged(files)
    entry = merged.contexts.get(context)
    if entry is None:
        raise _unknown_context(context, merged)
    cluster = _named(entry, "cluster", merged.clusters, context)
    user = _named(entry, "user", merged.users, context)
    return Access(context, _server(cluster, context), _user(user, entry.text("user")))


def _unknown_context(context: str, merged: _Merged) -> UsageError:
    known = sorted(merged.contexts)
    files = ", ".join(str(file) for file in merged.files)
    near = difflib.get_close_matches(context, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    listed = f"contexts there: {', '.join(known)}" if known else "there is no context in it at all"
    return UsageError(f"there is no context {context!r} in {files}", next_step=f"{hint}{listed}")


def _named(context: _Entry, key: str, entries: Mapping[str, _Entry], name: str) -> _Entry:
    wanted = context.text(key)
    if not wanted or wanted not in entries:
        raise ConfigError(f"context {name!r} names the {key} {wanted!r}, which no file defines", file=str(context.file))
    return entries[wanted]


def _server(entry: _Entry, context: str) -> Server:
    url = entry.text("server").rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError(f"the server of context {context!r} is no URL: {url!r}", file=str(entry.file))
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ConfigError(f"the server of context {context!r} is plain http: credentials would travel in clear", file=str(entry.file))
    if entry.body.get("insecure-skip-tls-verify"):
        raise ConfigError(
            f"insecure-skip-tls-verify is set for context {context!r}, and Bennu does not talk to an API that it cannot identify",
            file=str(entry.file),
            next_step="put the API server's CA into certificate-authority-data instead",
        )
    proxy = entry.text("proxy-url")
    if proxy and urlsplit(proxy).scheme not in _PROXY_SCHEMES:
        raise ConfigError(f"proxy-url of context {context!r} must begin with one of {', '.join(sorted(_PROXY_SCHEMES))}", file=str(entry.file))
    extensions = cast("list[Mapping[str, Any]]", entry.body.get("extensions") or [])
    exec_config = next((item.get("extension") for item in extensions if item.get("name") == "client.authentication.k8s.io/exec"), None)
    return Server(url, entry.pem("certificate-authority"), entry.text("tls-server-name"), proxy, exec_config)


def _user(entry: _Entry, name: str) -> User:
    if "auth-provider" in entry.body:
        raise ConfigError(
            f"user {name!r} has an auth-provider, which Kubernetes removed in 1.26",
            file=str(entry.file),
            next_step="use the provider's exec plugin (e.g. kubelogin, gke-gcloud-auth-plugin)",
        )
    token_file = entry.path("tokenFile")
    secrets = Secrets(entry.text("token"), entry.text("username"), entry.text("password"), entry.pem("client-certificate"), entry.pem("client-key"))
    if bool(secrets.certificate) != bool(secrets.key):
        raise ConfigError(f"user {name!r} has only one of client-certificate and client-key", file=str(entry.file))
    return User(name, "" if token_file is None else str(token_file), _plugin(entry, name), secrets)


def _plugin(entry: _Entry, name: str) -> Plugin | None:
    section = entry.body.get("exec")
    if section is None:
        return None
    if not isinstance(section, dict) or not isinstance(section.get("command"), str) or not section["command"]:
        raise ConfigError(f"the exec section of user {name!r} has no command", file=str(entry.file))
    mode = section.get("interactiveMode") or "IfAvailable"
    if mode not in {"Never", "IfAvailable", "Always"}:
        raise ConfigError(f"interactiveMode of user {name!r} must be Never, IfAvailable or Always, not {mode!r}", file=str(entry.file))
    return Plugin(
        command=section["command"],
        args=tuple(str(arg) for arg in section.get("args") or ()),
        env=tuple((str(pair["name"]), str(pair["value"])) for pair in section.get("env") or ()),
        api_version=str(section.get("apiVersion") or "client.authentication.k8s.io/v1"),
        interactive_mode=mode,
        wants_cluster=bool(section.get("provideClusterInfo")),
        install_hint=str(section.get("installHint") or "").strip(),
        folder=str(entry.file.parent),
    )


def _merged(files: Sequence[Path]) -> _Merged:
    wanted = tuple(files) or default_files()
    # Like kubectl: a file of the list that isn't there is passed over, as long as one is.
    found = [file for file in wanted if file.exists()] if len(wanted) > 1 else list(wanted)
    if not found:
        raise ConfigError("none of these kubeconfig files exists", file=os.pathsep.join(str(file) for file in wanted))
    documents = [(file.absolute(), _document(file)) for file in found]
    return _Merged(
        tuple(file for file, _ in documents),
        *({**_entries(reversed(documents), plural, singular)} for plural, singular in (("contexts", "context"), ("clusters", "cluster"), ("users", "user"))),
    )


def _entries(documents: Iterable[tuple[Path, Mapping[str, Any]]], plural: str, singular: str) -> dict[str, _Entry]:
    entries: dict[str, _Entry] = {}
    for file, document in documents:
        listed = document.get(plural) or []
        if not isinstance(listed, list):
            raise ConfigError(f"{plural} must be a list", file=str(file))
        for item in listed:
            body = item.get(singular) if isinstance(item, dict) else None
            if not isinstance(item, dict) or not isinstance(item.get("name"), str) or not isinstance(body or {}, dict):
                raise ConfigError(f"an entry of {plural} lacks its name or its {singular}", file=str(file))
            entries[item["name"]] = _Entry(body or {}, file)
    return entries


def _document(file: Path) -> Mapping[str, Any]:
    # Only reading a kubeconfig pays for the YAML parser.
    import yaml

    text = _read(file, "the kubeconfig")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        document = yaml.load(text, Loader=loader)  # noqa: S506  # one of the two safe loaders
    except yaml.MarkedYAMLError as error:
        line = None if error.problem_mark is None else error.problem_mark.line + 1
        raise ConfigError(f"this is no YAML: {error.problem}", file=str(file), line=line) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"this is no YAML: {error}", file=str(file)) from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError("a kubeconfig is a mapping", file=str(file), line=1)
    return document


def _read(file: Path, what: str) -> str:
    try:
        if file.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{what} is larger than {MAX_BYTES} bytes", file=str(file))
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{what} cannot be read: {error.strerror}", file=str(file)) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{what} is not UTF-8 text", file=str(file)) from None
