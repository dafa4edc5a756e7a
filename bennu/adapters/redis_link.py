"""One connection to one Redis or Valkey server: send commands in a single write, read as many replies.

Built on redis-py's ``Connection`` rather than on its client, because that one reconnects and repeats by itself: in the critical section a connection that was lost must
stay lost. A link never reconnects; whoever may, opens a new one. Replies are text; an error reply is a value (``Refusal``), so that one failed command of a
pipeline does not hide the others.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bennu.adapters.redis_tls import Tls, Untrusted, shown_end
from bennu.core.expiry import Expiry
from bennu.ports.redis import Address

_SHUT_OUT = {"NOAUTH", "WRONGPASS"}
Reply = Any  # str, int, None, list of replies, or Refusal: RESP2's own types


@dataclass(frozen=True)
class Refusal:
    """A server's error reply, e.g. ``READONLY You can't write against a read only replica.``"""

    text: str

    @property
    def code(self) -> str:
        """Its first word."""
        return self.text.split(" ", 1)[0]


class WrongPassword(Exception):
    """The server refused the credential (WRONGPASS, NOAUTH). Carries the server's words, never the password."""


@dataclass(frozen=True)
class RedisEndpoint:
    """How a server is reached. The callables are asked at each connection, so that a pod that was replaced, or a password that was changed, is found again.

    ``password`` returns an empty string where there is none; its text never gets into a message. ``timeout_s`` bounds the connect and each reply.
    """

    name: str
    address: Callable[[], Address]
    password: Callable[[], str]
    username: str = ""
    timeout_s: float = 5.0
    tls: Tls | None = None
    logins: Callable[[], tuple[Expiry, ...]] = tuple  # when what the password is read by ends


class Link:
    """An open connection. Every failure closes it for good; from then on each call raises the standard library's ConnectionError."""

    def __init__(self, endpoint: RedisEndpoint, client_name: str, timeout_s: float | None = None, *, encoding: str = "utf-8") -> None:
        """Connect, authenticate, set the name and confirm it. Raises ConnectionError, WrongPassword, Untrusted.

        An empty *client_name* sets none: a user for replication alone may not.
        """
        where = endpoint.address()
        self.address = where
        self._lost = ""
        self._owed = 0  # replies that will come and were not read yet
        self._connection = _unconnected(where, endpoint.timeout_s if timeout_s is None else timeout_s, endpoint.tls, encoding)
        try:
            self._connection.connect()  # sets TCP_NODELAY; authenticates nobody, since it was given no credential
        except Untrusted:
            self.close()
            raise
        except Exception as error:
            raise self._losing(error) from None
        self._introduce(endpoint, client_name)

    def send(self, *commands: Sequence[str | int]) -> list[Reply]:
        """All *commands* in one write; their replies in order. Raises ConnectionError (also for a time-out: later replies could not be told apart)."""
        self.post(*commands)
        self.replies(self._owed - len(commands))  # of what was posted before and nobody waited for
        return self.replies(len(commands))

    def post(self, *commands: Sequence[str | int]) -> None:
        """Write *commands* without waiting for their replies. Raises ConnectionError."""
        if self._lost:
            raise ConnectionError(self._lost)
        try:
            packed = self._connection.pack_commands([[str(part) for part in command] for command in commands])
            self._connection.send_packed_command([b"".join(packed)], check_health=False)
        except Exception as error:
            raise self._losing(error) from None
        self._owed += len(commands)

    def replies(self, count: int) -> list[Reply]:
        """The next *count* replies to what was posted. Raises ConnectionError (also for a time-out)."""
        from redis.exceptions import ResponseError

        found: list[Reply] = []
        try:
            for _ in range(count):
                try:
                    found.append(_plain(self._connection.read_response(disconnect_on_error=False)))
                except ResponseError as error:
                    found.append(Refusal(str(error)))
        except Exception as error:
            raise self._losing(error) from None
        self._owed -= count
        return found

    def answered(self, seconds: float) -> bool:
        """Whether a reply begins to come within *seconds*. Raises ConnectionError."""
        try:
            return bool(self._connection.can_read(timeout=seconds))
        except Exception as error:
            raise self._losing(error) from None

    def one(self, *command: str | int) -> Reply:
        """One command, one reply."""
        return self.send(command)[0]

    @property
    def certificate_end(self) -> datetime | None:
        """When the certificate ends that the server showed, None without TLS."""
        found: datetime | None = self._connection.certificate_end
        return found

    def close(self) -> None:
        """Close it; idempotent."""
        self._lost = self._lost or f"the connection to {self.address} was closed"
        with contextlib.suppress(OSError):
            self._connection.disconnect()

    def _introduce(self, endpoint: RedisEndpoint, client_name: str) -> None:
        password = endpoint.password()
        credential = [word for word in (endpoint.username, password) if word] if password else []
        login: list[Sequence[str | int]] = [["AUTH", *credential]] if credential else []
        introduction = [["CLIENT", "SETNAME", client_name], ["CLIENT", "GETNAME"]] if client_name else [["PING"]]
        replies = self.send(*login, *introduction)
        auth, (named, *name) = replies[: len(login)], replies[len(login) :]
        # Without a password asked for, a needless AUTH is an error that harms nobody.
        # Any other error may repeat what it was given ("unknown command, with args beginning with …"): only its code is passed on.
        refusals = [reply for reply in auth if isinstance(reply, Refusal) and "without any password configured" not in reply.text]
        failed = [reply.text if reply.code in _SHUT_OUT else f"AUTH was answered {reply.code}" for reply in refusals]
        if failed or (isinstance(named, Refusal) and named.code in _SHUT_OUT | ({"NOPERM"} if client_name else set())):
            self.close()
            raise WrongPassword((failed or [named.text])[0])
        if name and name != [client_name]:
            self.close()
            raise ConnectionError(f"{self.address} does not confirm the connection's name {client_name!r}: {name[0]}")

    def _losing(self, error: Exception) -> ConnectionError:
        import redis

        if isinstance(error, redis.exceptions.TimeoutError | TimeoutError):
            self._lost = f"{self.address} did not answer in time"
        else:
            self._lost = f"the connection to {self.address} was lost: {error}"
        with contextlib.suppress(OSError):
            self._connection.disconnect()
        return ConnectionError(self._lost)


def _unconnected(where: Address, seconds: float, tls: Tls | None, encoding: str) -> Any:
    """redis-py's connection: RESP2, no retry, no health check, no library info (which would cost two round trips)."""
    from redis import connection
    from redis._parsers import _RESP2Parser
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    class EveryErrorIsAReply(_RESP2Parser):
        """redis-py raises some replies (WRONGPASS, LOADING) as failures of the connection and then reads them again, so that a pipeline gets out of step."""

        EXCEPTION_CLASSES: dict[str, Any] = {}  # noqa: RUF012  # the base class declares it so

    base: Any = connection.Connection

    class Secured(base):  # type: ignore[misc]  # a base that is Any
        """redis-py's own TLS checks the name of the address, which a port-forward hides."""

        certificate_end: datetime | None = None

        def _connect(self) -> Any:
            plain = super()._connect()
            if tls is None:
                return plain
            secured = tls.secured(plain)
            self.certificate_end = shown_end(secured)
            return secured

    # The parameter was renamed in redis-py 7.
    known = inspect.signature(base.__bases__[0].__init__).parameters
    quiet = {"driver_info": None} if "driver_info" in known else {"lib_name": None, "lib_version": None}
    return Secured(
        host=where.host,
        port=where.port,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        parser_class=EveryErrorIsAReply,
        decode_responses=True,
        encoding=encoding,
        encoding_errors="replace",
        **quiet,
    )


def _plain(reply: object) -> Reply:
    """Errors inside an EXEC's reply come as exception objects."""
    if isinstance(reply, list):
        return [_plain(item) for item in reply]
    if isinstance(reply, Exception):
        return Refusal(str(reply))
    return reply
