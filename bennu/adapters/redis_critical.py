"""The critical section's connection: the few commands between the pause and the release.

It only says things to one server; their order, and why it is safe, is in ``phases/switchover_locked``. Losing the connection is final.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from bennu.adapters import redis_reading as reading
from bennu.adapters.redis_follower import Follower
from bennu.adapters.redis_link import Link, Refusal, Reply
from bennu.errors import GateRefused, OperatorNeeded, StoppedSafe
from bennu.ports.redis import Address, Fenced, Observation, Position

_SPARED = "bennu-"
_SLICE = 200  # clients cut in one write, so that a server with thousands is not kept busy with one
_PROBE_S = 600


class CriticalLink:
    """The port ``Critical`` over one link. ``persisted`` says whether the last change of role was also written to the configuration file."""

    def __init__(self, server: str, link: Link) -> None:
        self._server = server
        self._link = link
        self.persisted = True

    def observe(self) -> Observation:
        """See the port."""
        try:
            return reading.observation(self._link.send(*reading.QUESTIONS))
        except reading.Unreadable as error:
            raise self._refused("INFO", str(error)) from None

    def position(self) -> Position:
        """See the port. ``INFO replication`` goes in the same write: ROLE alone says -1 for a replica without a link."""
        try:
            return reading.position(self._link.send(*reading.POSITION))
        except reading.Unreadable as error:
            raise self._refused("ROLE", str(error)) from None

    def round_trip(self) -> float:
        """See the port. The quickest of three: a longer one tells of the machine, not of the way."""
        took = []
        for _ in range(3):
            begun = time.perf_counter()
            self._link.one("PING")
            took.append(time.perf_counter() - begun)
        return min(took)

    def following(self, every_s: float) -> Follower:
        """See the port."""
        return Follower(self._link, every_s)

    def pause(self, milliseconds: int) -> int:
        """See the port. Raises GateRefused if the server is no master, or won't pause; the pause is taken back then."""
        paused, role = self._link.send(("CLIENT", "PAUSE", milliseconds, "WRITE"), ("ROLE",))
        if isinstance(paused, Refusal):
            raise self._refused("CLIENT PAUSE", paused.text)
        if not isinstance(role, list) or role[0] != "master":
            self.unpause()
            raise self._refused("CLIENT PAUSE", "it is no master")
        return int(role[1])

    def unpause(self) -> None:
        """See the port."""
        self._ok("CLIENT UNPAUSE", self._link.one("CLIENT", "UNPAUSE"))

    def fence(self, parking: Address) -> Fenced:
        """See the port.

        ``replica-read-only`` is read again inside the transaction. Where it is off, the fence holds nobody back: the server is made master again at once, still under
        the pause, and StoppedSafe is raised.
        """
        # Safe to repeat: on a server that is parked already, REPLICAOF to the same address does nothing and ROLE says so.
        role, parked, rewritten, read_only = self._transaction(
            ("ROLE",), ("REPLICAOF", parking.host, parking.port), ("CONFIG", "REWRITE"), ("CONFIG", "GET", "replica-read-only")
        )
        if isinstance(parked, Refusal):
            raise self._refused("REPLICAOF", parked.text)
        if isinstance(read_only, list) and read_only[1:] != ["yes"]:
            self._take_back()
        self.persisted = rewritten == "OK"
        if role[0] == "master":
            return Fenced(int(role[1]), self.persisted)
        return Fenced(self.position().offset, self.persisted)

    def make_master(self) -> str:
        """See the port."""
        # Safe to repeat: on a master REPLICAOF NO ONE changes nothing, the replid neither.
        done, rewritten, facts = self._transaction(("REPLICAOF", "NO", "ONE"), ("CONFIG", "REWRITE"), ("INFO", "replication"))
        self._ok("REPLICAOF NO ONE", done)
        self.persisted = rewritten == "OK"
        return reading.info(facts).get("master_replid", "")

    def attach(self, master: Address) -> None:
        """See the port."""
        # Safe to repeat: REPLICAOF to the master that it follows already is answered with OK and changes nothing.
        done, rewritten = self._transaction(("REPLICAOF", master.host, master.port), ("CONFIG", "REWRITE"))
        if isinstance(done, Refusal):
            raise self._refused("REPLICAOF", done.text)
        self.persisted = rewritten == "OK"

    def cut_clients(self) -> int:
        """See the port. Killed one by one by id: ``CLIENT KILL TYPE normal`` would take other connections of Bennu's along."""
        listed = self._link.send(("CLIENT", "LIST", "TYPE", "normal"), ("CLIENT", "LIST", "TYPE", "pubsub"))
        try:
            ids = [client.id for reply in listed for client in reading.clients(reply) if not client.name.startswith(_SPARED)]
        except reading.Unreadable as error:
            raise self._refused("CLIENT LIST", str(error)) from None
        cut = 0
        for start in range(0, len(ids), _SLICE):
            kills = self._link.send(*(("CLIENT", "KILL", "ID", one) for one in ids[start : start + _SLICE]))
            cut += sum(1 for kill in kills if kill == 1)
        return cut

    def write_probe(self, key: str, value: str) -> int:
        """See the port."""
        done, role = self._link.send(("SET", key, value, "EX", _PROBE_S), ("ROLE",))
        self._ok("SET", done)
        return int(role[1])

    def read_probe(self, key: str) -> str | None:
        """See the port."""
        reply = self._link.one("GET", key)
        if isinstance(reply, Refusal):
            raise self._refused("GET", reply.text)
        return None if reply is None else str(reply)

    def _take_back(self) -> None:
        """Un-fence: nothing was written meanwhile, since the pause still holds."""
        done, _ = self._transaction(("REPLICAOF", "NO", "ONE"), ("CONFIG", "REWRITE"))
        if done != "OK":
            raise OperatorNeeded(
                f"{self._server} is fenced, but its replica-read-only is 'no' and it could not be made master again: it may accept writes that are lost later",
                changed="the server is a parked replica",
                next_step="set replica-read-only yes on it at once, then bennu rotate resume",
            )
        raise StoppedSafe(
            f"replica-read-only of {self._server} was switched off since the pre-check: a fence would not hold, and was taken back",
            next_step="set replica-read-only yes (also in its configuration), then bennu rotate resume",
        )

    def _transaction(self, *commands: Sequence[str | int]) -> list[Reply]:
        """MULTI … EXEC in one write. Raises GateRefused if the server refused to run it, ConnectionError if it may have run."""
        replies = self._link.send(("MULTI",), *commands, ("EXEC",))
        result = replies[-1]
        if isinstance(result, list):
            return result
        reasons = [reply.text for reply in replies[:-1] if isinstance(reply, Refusal)]
        raise self._refused("the transaction", "; ".join(reasons) or (result.text if isinstance(result, Refusal) else "it was discarded"))

    def _ok(self, what: str, reply: Reply) -> None:
        if isinstance(reply, Refusal):
            raise self._refused(what, reply.text)

    def _refused(self, what: str, words: str) -> GateRefused:
        return GateRefused(f"{self._server} refuses {what}: {words}")
