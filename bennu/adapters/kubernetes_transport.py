"""Requests to one Kubernetes API: TLS, proxies, time-outs, renewal of credentials, and errors in words.

It knows HTTP, no kinds. Reads are tried again within a bound where the server asks for it (429, 503 with Retry-After) or a kept connection had died; writes only
after a 429, which says that nothing was done. TLS trust comes from the kubeconfig alone: no environment variable changes it.
"""

from __future__ import annotations

import json
import ssl
import tempfile
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote, unquote, urlsplit

import urllib3

from bennu.adapters.kubeconfig import Access, Server
from bennu.adapters.kubernetes_credentials import Credentials, Grant
from bennu.errors import ConfigError, DependencyDown

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_AGENT = "bennu"


@dataclass(frozen=True)
class Patience:
    """Seconds: to connect, to wait for an answer, and to go on trying a read that the server asks to repeat."""

    connect_s: float = 3.0
    read_s: float = 10.0
    retry_s: float = 10.0


USUAL = Patience()


@dataclass(frozen=True)
class Ask:
    """One request. ``query`` values are strings; ``body`` is JSON; ``about`` names verb and object for messages."""

    method: str
    path: str
    about: str
    query: Mapping[str, str]
    body: Any = None
    content_type: str = "application/json"

    @property
    def is_read(self) -> bool:
        """Whether repeating it changes nothing. A POST to the authorization API is a question too."""
        return self.method == "GET" or self.path.startswith("/apis/authorization.k8s.io/")


@dataclass(frozen=True)
class Reply:
    """Status and JSON (a Kubernetes Status object for errors; empty where the body was none)."""

    status: int
    body: Mapping[str, Any]
    retry_after_s: float | None = None

    @property
    def message(self) -> str:
        """The server's own words."""
        return str(self.body.get("message") or f"HTTP {self.status}")


class _Again(Exception):
    """Worth another try within the bound."""

    def __init__(self, outcome: Reply | DependencyDown) -> None:
        super().__init__()
        self.outcome = outcome


class Transport:
    """Keeps a few connections to one API. Safe to use from several threads."""

    def __init__(self, access: Access, credentials: Credentials, patience: Patience = USUAL) -> None:
        self.context = access.context
        self.server = access.server
        self.credentials = credentials
        self.patience = patience
        self._lock = threading.Lock()
        self._pool: tuple[str, urllib3.PoolManager] | None = None

    def call(self, ask: Ask) -> Reply:
        """The server's reply, whatever its status but 401 and what is left of 429/503 after the bound. Raises DependencyDown."""
        # Tenacity costs some 40 ms to import, for asyncio.
        import tenacity

        def pause(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            after = error.outcome.retry_after_s if isinstance(error, _Again) and isinstance(error.outcome, Reply) else None
            backoff = tenacity.wait_random_exponential(multiplier=0.1, max=2)(state)
            return backoff if after is None else after + min(backoff, 0.1 * after)

        def too_long(state: tenacity.RetryCallState) -> bool:
            return (state.seconds_since_start or 0.0) + state.upcoming_sleep > self.patience.retry_s

        try:
            return tenacity.Retrying(retry=tenacity.retry_if_exception_type(_Again), wait=pause, stop=too_long, reraise=True)(self._once, ask)
        except _Again as again:
            if isinstance(again.outcome, DependencyDown):
                raise again.outcome from None
            raise self._down(ask, f"it is overloaded ({again.outcome.message})") from None

    def stream(self, ask: Ask, read_s: float) -> Iterator[Mapping[str, Any]]:
        """JSON lines until the server ends the answer or says nothing for *read_s* seconds. An answer of another status than 200 raises DependencyDown."""
        response: urllib3.BaseHTTPResponse | None = None
        try:
            response = self._send(ask, self.credentials.current(), read_s, stream=True)
            if response.status != 200:
                raise self._down(ask, _json(response.read()).get("message") or f"HTTP {response.status}")
            yield from _lines(response)
        except urllib3.exceptions.ReadTimeoutError:
            return
        except urllib3.exceptions.HTTPError as error:
            raise self._down(ask, _why(error, self.server)) from None
        finally:
            if response is not None:
                response.close()

    def dialled(self, grant: Grant) -> tuple[ssl.SSLContext | None, str]:
        """For a connection of another kind (port-forward): the TLS context (None for plain http) and the proxy (empty = direct)."""
        return (self._tls(grant) if self.server.url.startswith("https") else None), proxy_for(self.server)

    def _once(self, ask: Ask) -> Reply:
        grant = self.credentials.current()
        reply = self._reply(ask, grant)
        if reply.status == 401:
            # Safe to repeat, a write too: an unauthenticated request never reached the handler.
            fresh = self.credentials.renewed(grant)
            if fresh is not None:
                reply = self._reply(ask, fresh)
            if reply.status == 401:
                raise DependencyDown(
                    f"the API of {self.context} refuses the credential (401 Unauthorized)",
                    next_step=f"log in again; kubectl --context {self.context} get namespaces shows the same",
                )
        if reply.status == 429 or (reply.status == 503 and ask.is_read):
            raise _Again(reply)
        return reply

    def _reply(self, ask: Ask, grant: Grant) -> Reply:
        try:
            response = self._send(ask, grant, self.patience.read_s, stream=False)
        except urllib3.exceptions.HTTPError as error:
            self._failed(ask, error)
        after = response.headers.get("Retry-After", "")
        return Reply(response.status, _json(response.data), float(after) if after.isdigit() else None)

    def _send(self, ask: Ask, grant: Grant, read_s: float, *, stream: bool) -> urllib3.BaseHTTPResponse:
        headers = {"Accept": "application/json", "User-Agent": _AGENT}
        if grant.authorization:
            headers["Authorization"] = grant.authorization
        body = None
        if ask.body is not None:
            headers["Content-Type"] = ask.content_type
            body = json.dumps(ask.body).encode()
        return self._connections(grant).request(
            ask.method,
            self.server.url + with_query(ask),
            headers=headers,
            body=body,
            timeout=urllib3.Timeout(connect=self.patience.connect_s, read=read_s),
            preload_content=not stream,
        )

    def _failed(self, ask: Ask, error: urllib3.exceptions.HTTPError) -> NoReturn:
        down = self._down(ask, _why(error, self.server))
        if not ask.is_read and isinstance(error, urllib3.exceptions.ReadTimeoutError | urllib3.exceptions.ProtocolError):
            down.changed = f"not known: {ask.about} may have arrived; the step looks before it does anything again"
        if ask.is_read and isinstance(error, urllib3.exceptions.ProtocolError):
            raise _Again(down) from None  # a kept connection that the server had closed meanwhile
        raise down from None

    def _down(self, ask: Ask, why: str) -> DependencyDown:
        return DependencyDown(
            f"the API of {self.context} ({self.server.url}) does not answer ({ask.about}): {why}",
            next_step=f"check it: kubectl --context {self.context} version",
        )

    def _connections(self, grant: Grant) -> urllib3.PoolManager:
        """The pool; made anew when the client certificate changes."""
        with self._lock:
            if self._pool is None or self._pool[0] != grant.certificate:
                self._pool = (grant.certificate, self._new_pool(grant))
            return self._pool[1]

    def _new_pool(self, grant: Grant) -> urllib3.PoolManager:
        options: dict[str, Any] = {"retries": False, "maxsize": 8, "num_pools": 2}
        if self.server.url.startswith("https"):
            options["ssl_context"] = self._tls(grant)
            if self.server.tls_server_name:
                options["server_hostname"] = self.server.tls_server_name
                options["assert_hostname"] = self.server.tls_server_name
        proxy = proxy_for(self.server)
        if proxy.startswith("socks"):
            from urllib3.contrib.socks import SOCKSProxyManager

            # socks5h: the name is resolved behind the proxy, as kubectl does for socks5 as well.
            return SOCKSProxyManager("socks5h" + proxy[proxy.index("://") :], **options)
        if proxy:
            return urllib3.ProxyManager(proxy, proxy_headers=proxy_headers(proxy), **options)
        return urllib3.PoolManager(**options)

    def _tls(self, grant: Grant) -> ssl.SSLContext:
        try:
            # With cadata given, the system's roots are not loaded; without, they are.
            context = ssl.create_default_context(cadata=self.server.ca_pem or None)
        except ssl.SSLError as error:
            raise ConfigError(f"certificate-authority is no PEM certificate: {error.reason}", file=f"kubeconfig context {self.context}") from None
        if grant.certificate:
            with _key_file(grant) as path:
                try:
                    context.load_cert_chain(path)
                except ssl.SSLError as error:
                    raise ConfigError(f"client-certificate and client-key do not fit: {error.reason}", file=f"kubeconfig context {self.context}") from None
        return context


def with_query(ask: Ask) -> str:
    """Path and query as they go on the wire."""
    if not ask.query:
        return ask.path
    return ask.path + "?" + "&".join(f"{quote(name)}={quote(value, safe='')}" for name, value in ask.query.items())


def proxy_for(server: Server) -> str:
    """``proxy-url`` of the kubeconfig, else HTTPS_PROXY/NO_PROXY of the environment (never for loopback), as kubectl does; empty = direct."""
    if server.proxy_url:
        return server.proxy_url
    parts = urlsplit(server.url)
    host = parts.hostname or ""
    if host in _LOOPBACK or urllib.request.proxy_bypass_environment(parts.netloc):  # type: ignore[attr-defined]  # the stubs lack it
        return ""
    return urllib.request.getproxies_environment().get(parts.scheme, "")


def proxy_headers(proxy: str) -> dict[str, str]:
    """``Proxy-Authorization`` where the URL carries a user."""
    parts = urlsplit(proxy)
    if parts.username is None:
        return {}
    return dict(urllib3.make_headers(proxy_basic_auth=f"{unquote(parts.username)}:{unquote(parts.password or '')}"))


@contextmanager
def _key_file(grant: Grant) -> Iterator[str]:
    """Certificate and key as a file of 0600 for the moment that OpenSSL reads it (it takes no key from memory)."""
    with tempfile.TemporaryDirectory(prefix="bennu-") as folder:
        path = Path(folder) / "client.pem"
        path.touch(mode=0o600)
        path.write_text(f"{grant.certificate}\n{grant.key}\n", encoding="utf-8")
        yield str(path)


def _json(data: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(data) if data else {}
    except ValueError:
        return {"message": data[:200].decode(errors="replace")}
    return body if isinstance(body, dict) else {}


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[Mapping[str, Any]]:
    pending = b""
    while chunk := response.read1(65536):
        *whole, pending = (pending + chunk).split(b"\n")
        yield from (json.loads(line) for line in whole if line.strip())


def _why(error: BaseException, server: Server) -> str:
    """The reason in an operator's words; never a repr with memory addresses, never a header."""
    cause = error
    for _ in range(10):  # as deep as urllib3 wraps, and no cycle
        inner = getattr(cause, "reason", None) or getattr(cause, "original_error", None) or cause.__cause__ or cause.__context__
        if not isinstance(inner, BaseException) or inner is cause:
            break
        cause = inner
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted ({cause.verify_message or cause.reason}); the kubeconfig's certificate-authority or tls-server-name does not fit"
        )
    if isinstance(cause, ssl.SSLError):
        return f"TLS failed ({cause.reason or cause})"
    through = f" through the proxy {_shown(server)}" if isinstance(error, urllib3.exceptions.ProxyError) or proxy_for(server) else ""
    if isinstance(error, urllib3.exceptions.ConnectTimeoutError) and not isinstance(error, urllib3.exceptions.NewConnectionError):
        return f"no connection in time{through}"
    if isinstance(error, urllib3.exceptions.ReadTimeoutError | TimeoutError):
        return "no answer in time"
    words = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
    return f"{words}{through}"


def _shown(server: Server) -> str:
    parts = urlsplit(proxy_for(server))
    return f"{parts.scheme}://{parts.hostname}:{parts.port}"
