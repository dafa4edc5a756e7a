"""One Redis or Valkey server, outside and at the door of the critical section.

Observing, killing the connections of earlier holders, preparing and starting replication. It decides nothing about a switchover. Reconnects once where nothing can be done twice
by it; the critical section's connection (``redis_critical``) never does.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TypeVar

from bennu.adapters import redis_life
from bennu.adapters import redis_profile as profiles
from bennu.adapters import redis_reading as reading
from bennu.adapters.certificates import PemCertificates
from bennu.adapters.redis_critical import CriticalLink
from bennu.adapters.redis_export import ENCODING, Unexportable, entries
from bennu.adapters.redis_link import Link, RedisEndpoint, Refusal, Reply, WrongPassword
from bennu.adapters.redis_tls import Untrusted
from bennu.core.expiry import Expiry
from bennu.core.export import Entry
from bennu.core.surroundings import Admission, Profile
from bennu.errors import BennuError, DependencyDown, GateRefused
from bennu.ports.redis import Address, Credential, Critical, LastSave, Member, Observation, Trust

T = TypeVar("T")
__all__ = ["RedisEndpoint", "RedisOverSocket"]

_OBSERVER = "bennu-observer"
# The critical section's replies come within a round trip; whoever waits longer has lost the server.
_CRITICAL_TIMEOUT_S = 2.0
# All members are asked at once, and one that hangs must not keep the others' answers for long.
_MEMBER_TIMEOUT_S = 0.5


class RedisOverSocket:
    """The port ``RedisServer``. Safe to use from several threads; the observing connection is shared and serialised."""

    def __init__(self, endpoint: RedisEndpoint, ways: Callable[[], Mapping[str, Callable[[], Address]]] | None = None) -> None:
        """*ways*: how each member is reached, by its pod's name; None = the endpoint's address is the only one."""
        self._endpoint = endpoint
        self._lock = threading.Lock()
        self._link: Link | None = None
        self._ways = ways or (lambda: {"": endpoint.address})
        self._members: dict[str, RedisOverSocket] = {}

    @property
    def name(self) -> str:
        """See the port."""
        return self._endpoint.name

    def observe(self) -> Observation:
        """See the port."""
        try:
            return reading.observation(self._asked(*reading.QUESTIONS))
        except reading.Unreadable as error:
            raise self._down(str(error)) from None

    def members(self) -> tuple[Member, ...]:
        """See the port. Each over a connection of its own, kept between two calls. A server that is reached in two ways is one."""
        ways = self._ways()
        for gone in self._members.keys() - ways.keys():
            self._members.pop(gone).close()
        for name in ways.keys() - self._members.keys():
            self._members[name] = RedisOverSocket(replace(self._endpoint, address=partial(self._way, name), timeout_s=_MEMBER_TIMEOUT_S))
        if not ways:
            return ()
        with ThreadPoolExecutor(len(ways)) as pool:
            found = pool.map(lambda name: _answered(name, self._members[name]), ways)
            answered = [one for one in found if one is not None]
        by_process: dict[str, Member] = {}
        for one in answered:
            by_process.setdefault(one.seen.run_id, one)
        return tuple(by_process.values())

    def lives(self) -> bool:
        """See the port. The address that is asked otherwise, and every member's."""
        ways = (self._endpoint.address, *self._ways().values())
        with ThreadPoolExecutor(len(ways)) as pool:
            return any(pool.map(self._life, ways))

    def _life(self, way: Callable[[], Address]) -> bool:
        try:
            return redis_life.lives(way(), self._endpoint.timeout_s, self._endpoint.tls)
        except (BennuError, OSError):
            return False  # there is no way to it

    def _way(self, member: str) -> Address:
        """Where a pod is now: one of the same name may have come back with another address."""
        way = self._ways().get(member)
        if way is None:
            raise ConnectionError(f"pod {member} is gone")
        return way()

    @contextmanager
    def critical(self, name: str, member: str = "") -> Iterator[Critical]:
        """See the port. A connection that is lost later raises the standard library's ConnectionError."""
        way = self._ways().get(member) if member else None
        endpoint = self._endpoint if way is None else replace(self._endpoint, address=way)
        link = self._opened(lambda: Link(endpoint, name, _CRITICAL_TIMEOUT_S))
        try:
            yield CriticalLink(self.name, link)
        finally:
            link.close()

    def kill_named(self, rotation: str, below_epoch: int) -> int:
        """See the port. Raises DependencyDown if one of them is still there afterwards."""
        stale = self._named(rotation, below_epoch)
        if not stale:
            # "0 being confirmed by a second CLIENT LIST": a connection may have been named while the first was taken.
            stale = self._named(rotation, below_epoch)
        # Safe to repeat: an id is never used twice by a server process, and one that is gone answers 0.
        killed = self._asked(*(("CLIENT", "KILL", "ID", one) for one in stale)) if stale else []
        if stale and self._named(rotation, below_epoch):
            raise self._down(f"a connection of an earlier holder of {rotation} could not be cut")
        return sum(1 for reply in killed if reply == 1)

    def profile(self) -> Profile:
        """See the port."""
        replies = self._asked(*profiles.QUESTIONS)
        trials = profiles.trials(replies)
        return profiles.profile(replies, self._asked(*trials) if trials else [])

    def credential_for_master(self) -> Credential:
        """See the port."""
        return profiles.credential(self._asked(*profiles.FOR_MASTER))

    def trust(self) -> Trust | None:
        """See the port. From the same Secrets as Bennu's own connections; what the server's process was started with is not to be read."""
        tls = self._endpoint.tls
        return None if tls is None else Trust(tls.authority(), tls.client() if tls.client is not None else None)

    def lets_in(self, credential: Credential, trust: Trust | None) -> Admission:
        """See the port. Nothing but AUTH and PING is said: a user for replication alone may say no more."""
        tls = self._endpoint.tls
        if tls is not None and trust is not None:
            client = trust.client
            tls = replace(tls, authority=lambda: trust.authority, client=None if client is None else lambda: client)
        asking = replace(self._endpoint, username=credential.username, password=lambda: credential.password, tls=tls)

        def tried() -> Admission:
            try:
                Link(asking, "").close()
            except WrongPassword:
                return Admission.WRONG_CREDENTIAL
            except Untrusted:
                return Admission.UNTRUSTED
            except ConnectionError:
                if trust is None:
                    raise
                # In TLS 1.3 a server that refuses a client's certificate says so only after the handshake, by hanging up. Where our own are let in, it is not down.
                Link(self._endpoint, "").close()
                return Admission.UNTRUSTED
            return Admission.LET_IN

        return self._opened(tried)

    def expiries(self) -> tuple[Expiry, ...]:
        """See the port. By a connection of its own: the kept one may have been opened before a certificate was renewed."""
        tls, found = self._endpoint.tls, [*self._endpoint.logins()]
        if tls is not None:
            link = self._opened(lambda: Link(self._endpoint, ""))
            link.close()
            if link.certificate_end is not None:
                found.append(Expiry(f"the TLS certificate of {self.name}", link.certificate_end, "renew it, and have the server load it"))
            if tls.client is not None:
                end = PemCertificates().not_after(tls.client()[0])
                found.append(Expiry(f"the client certificate for {self.name}", end, "renew it in the Secret that redis[].tls.client_secret names"))
        return tuple(found)

    def credential(self) -> Credential:
        """See the port."""
        password = self._endpoint.password()
        return Credential(self._endpoint.username if password else "", password)

    def authenticate_as(self, credential: Credential) -> None:
        """See the port. Written to the configuration file where there is one."""
        # Both, always: a user's name left from before would be shown with the default user's password.
        settings = {"masteruser": credential.username, "masterauth": credential.password}
        current = self._asked(*(("CONFIG", "GET", name) for name in settings))
        unreadable = any(isinstance(reply, Refusal) for reply in current)
        if [[name, value] for name, value in settings.items()] == current or (unreadable and not credential.password):
            return
        replies = self._asked(*(("CONFIG", "SET", name, value) for name, value in settings.items()), ("CONFIG", "REWRITE"))
        failed = [reply for reply in replies[:-1] if isinstance(reply, Refusal)]
        if failed:
            # Only the code: the text of a CONFIG error may repeat its arguments.
            raise GateRefused(
                f"{self.name} refuses to set masterauth ({failed[0].code})", next_step="allow CONFIG SET, or set masterauth in its configuration file"
            )

    def replicate(self, master: Address) -> None:
        """See the port."""
        seen = self.observe()
        if seen.is_master and seen.keys:
            raise GateRefused(
                f"{self.name} is a master that holds {seen.keys} keys: making it a replica would destroy them",
                next_step="empty it by hand if they are not needed (FLUSHALL), then bennu rotate resume",
            )
        # Safe to repeat: REPLICAOF to the master that it follows already changes nothing.
        followed, _ = self._asked(("REPLICAOF", master.host, master.port), ("CONFIG", "REWRITE"))
        if isinstance(followed, Refusal):
            raise GateRefused(f"{self.name} refuses REPLICAOF: {followed.text}")

    def last_save(self) -> LastSave:
        """See the port."""
        try:
            return reading.last_save(self._asked(*reading.SAVES))
        except reading.Unreadable as error:
            raise self._down(str(error)) from None

    def begin_save(self) -> None:
        """See the port."""
        (said,) = self._asked(("BGSAVE",))
        if isinstance(said, Refusal):
            raise GateRefused(f"{self.name} refuses BGSAVE: {said.text}")

    def export(self) -> Iterator[Entry]:
        """See the port. Over a connection of its own."""
        link = self._opened(lambda: Link(self._endpoint, _OBSERVER, encoding=ENCODING))
        try:
            yield from entries(link)
        except (ConnectionError, Unexportable) as error:
            raise self._down(f"its keys cannot be read: {error}") from None
        finally:
            link.close()

    def close(self) -> None:
        """Drop the observing connection; the next question opens a new one."""
        with self._lock:
            if self._link is not None:
                self._link.close()
                self._link = None

    def _named(self, rotation: str, below_epoch: int) -> list[str]:
        pattern = re.compile(rf"bennu-{re.escape(rotation)}-(\d+)\Z")
        try:
            listed = list(reading.clients(self._asked(("CLIENT", "LIST"))[0]))
        except reading.Unreadable as error:
            raise self._down(str(error)) from None
        matches = ((client.id, pattern.match(client.name)) for client in listed)
        return [found for found, match in matches if match and int(match[1]) < below_epoch]

    def _asked(self, *commands: Sequence[str | int]) -> list[Reply]:
        """Replies over the shared connection. Every command sent through here may be repeated: a kept connection that died is replaced once."""
        with self._lock:
            kept = self._link
            if kept is not None:
                try:
                    return self._readable(kept.send(*commands))
                except ConnectionError:
                    self._link = None
            link = self._link = self._opened(lambda: Link(self._endpoint, _OBSERVER))
            try:
                return self._readable(link.send(*commands))
            except ConnectionError as error:
                self._link = None
                raise self._down(str(error)) from None

    def _readable(self, replies: list[Reply]) -> list[Reply]:
        refused = [reply.text for reply in replies if isinstance(reply, Refusal) and reply.code in {"NOAUTH", "WRONGPASS", "LOADING"}]
        if refused:
            raise self._down(refused[0])
        return replies

    def _opened(self, opening: Callable[[], T]) -> T:
        try:
            return opening()
        except WrongPassword as error:
            raise DependencyDown(f"{self.name} refuses the password ({error})", next_step="check the secret that redis[].auth names, on both sides") from None
        except Untrusted as error:
            next_step = "check redis[].tls: the authority, the server's name, and the client's certificate where the server asks for one"
            raise DependencyDown(f"{self.name} cannot be trusted: {error}", next_step=next_step) from None
        except ConnectionError as error:
            raise self._down(str(error)) from None

    def _down(self, why: str) -> DependencyDown:
        return DependencyDown(f"{self.name} does not answer: {why}", next_step="look at its pod and its logs; bennu doctor asks it again")


def _answered(name: str, server: RedisOverSocket) -> Member | None:
    try:
        return Member(name, server.observe())
    except BennuError:
        return None
