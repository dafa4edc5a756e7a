"""Two real servers on which hand-overs are broken: each with a way to it that can stall, their users, a watch for two masters, and the judge.

The servers outlive a test: each case begins where the one before has converged, with whoever is master as its source. A case that leaves them otherwise has failed, and the next one gets
new servers.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from benchmarks.judge import Ledger
from benchmarks.servers import Delayed, awaited
from benchmarks.writer import App
from bennu.adapters.redis_link import Link
from tests.contract.redis.servers import RealHands
from tests.faults.process import Tool
from tests.faults.tool import Orders, Stop

PASSWORD = "open-sesame"
WRITERS, RATE, RETRY_S = 4, 150.0, 0.01
SAMPLE_S, ANSWER_S = 0.005, 0.25
# The waits, shorter than in life; what decides (offsets, histories, proofs) stays. The share is larger than the specification's, since Python's scheduling on a busy machine is no link's delay.
POLICY = {"pause_ms": 400, "catch_up_share": 0.6, "retry_s": 0.2, "switchover_timeout_s": 12}
FROZEN_S = 0.6  # longer than the pause
_numbers = count(1)
_PACE = threading.Event()  # never set: time that is meant to pass


class Server(RealHands):
    """One of both, and the way by which the other follows it."""

    def __init__(self, program: str, folder: Path) -> None:
        super().__init__(program, folder, PASSWORD)
        # No snapshot begins by itself, which a hand-over would wait for.
        self.ask("CONFIG", "SET", "save", "")
        self.way = Delayed(self.address, 0, rt=False)

    def end(self) -> None:
        """The process, frozen or not, and the way."""
        self.stop()
        self.way.stop()

    def lose_config(self) -> None:
        """Its configuration cannot be written any more, as one that is mounted from a ConfigMap."""
        self._kept = (self.folder / "redis.conf").read_text(encoding="utf-8")
        self.lose_config_file()

    def find_config(self) -> None:
        """It is there again, as it was when it was lost."""
        (self.folder / "redis.conf").rmdir()
        (self.folder / "redis.conf").write_text(self._kept, encoding="utf-8")

    def follows(self, master: Server) -> None:
        """An operator's hand: what Bennu would not do without one."""
        assert self.ask("REPLICAOF", master.way.address.host, master.way.address.port) == "OK"
        # Else a later restart would bring the role of before back.
        assert self.ask("CONFIG", "REWRITE") == "OK"

    def leads(self) -> None:
        """Likewise, as master."""
        assert self.ask("REPLICAOF", "NO", "ONE") == "OK"
        assert self.ask("CONFIG", "REWRITE") == "OK"

    def role(self) -> list[object]:
        """What ROLE says; empty where nothing is answered."""
        with suppress(ConnectionError):
            link = self.link("judge", 1.0)
            try:
                found = link.one("ROLE")
            finally:
                link.close()
            if isinstance(found, list):
                return found
        return []


class Watch:
    """Asks both servers for their roles all the time: the target, the source, the target again, so that a master at both ends was one in between."""

    def __init__(self, source: Server, target: Server) -> None:
        self._servers = {"source": source, "target": target}
        self._links: dict[str, Link] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.samples = 0
        self.two_masters = 0

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        for link in self._links.values():
            link.close()

    def _run(self) -> None:
        while not self._over.wait(SAMPLE_S):
            self.samples += 1
            self.two_masters += all(self._is_master(name) for name in ("target", "source", "target"))

    def _is_master(self, name: str) -> bool:
        try:
            if name not in self._links:
                self._links[name] = self._servers[name].link("bennu-watch", ANSWER_S)
            role = self._links[name].one("ROLE")
        except ConnectionError:
            # Dead or frozen: it accepts nothing. The connection is made anew.
            self._links.pop(name, None)
            return False
        return isinstance(role, list) and role[0] == "master"


@dataclass
class Users:
    """Four apps that follow the pointer, as threads, and who ignores it where a test asks for that one."""

    folder: Path
    apps: list[tuple[int, App, threading.Thread]] = field(default_factory=list)

    def join(self, pointer: Path) -> App:
        """One more."""
        number = next(_numbers)
        app = App(number, pointer, self.folder / f"ledger-{number}", RATE, PASSWORD, RETRY_S)
        thread = threading.Thread(target=app.run, name=f"app-{number}", daemon=True)
        thread.start()
        self.apps.append((number, app, thread))
        return app

    def acknowledged(self) -> int:
        """So far, of all."""
        return sum(app.acknowledged for _, app, _ in self.apps)

    def leave(self) -> list[Ledger]:
        """All of them; what each saw acknowledged."""
        for _, app, _ in self.apps:
            app.stop()
        for _, _, thread in self.apps:
            thread.join(30)
            assert not thread.is_alive(), "a user waits for ever"
        return [Ledger.read(number, self.folder / f"ledger-{number}") for number, _, _ in self.apps]


@dataclass(frozen=True)
class Verdict:
    """What the judge found. ``lost`` are acknowledged writes that are missing, counted on each of both servers: one that neither holds counts twice."""

    acknowledged: int
    lost: int
    samples: int
    two_masters: int
    master: str


class Case:
    """One hand-over that something happens to."""

    def __init__(self, source: Server, target: Server, folder: Path, watch: Watch) -> None:
        self.source, self.target, self._watch = source, target, watch
        self.folder = folder
        self.pointer = folder / "pointer"
        self.pointer.write_text(f"{source.address.host} {source.address.port} 0", encoding="utf-8")
        self.users = Users(folder)
        self.tools: list[Tool] = []
        self.verdict: Verdict | None = None
        for _ in range(WRITERS):
            self.users.join(self.pointer)
        awaited(lambda: self.users.acknowledged() >= 40, "the users' first writes")

    def tool(
        self,
        *stops: Stop,
        policy: dict[str, float] | None = None,
        holder: str = "ann@here",
        takes_over: bool = False,
        accepts_loss: bool = False,
        env: dict[str, str] | None = None,
    ) -> Tool:
        """Start Bennu's hand-over (or its resume), to be stopped where said."""
        log = self.folder / f"log-{len(self.tools)}"
        orders = Orders(str(log), stops, tuple((POLICY | (policy or {})).items()), holder, takes_over, accepts_loss)
        found = Tool(orders, {**self._environment(), **(env or {})})
        self.tools.append(found)
        return found

    def finish(self, *, holder: str = "ann@here", runs: int = 4) -> list[int]:
        """Run it until it is done; the exit codes. Each but the last is 5 (stopped safe) or 8 (a system did not answer); a colleague takes over."""
        codes: list[int] = []
        while not codes or codes[-1] in (5, 8):
            tool = self.tool(holder=holder, takes_over=holder != "ann@here")
            codes.append(tool.ended())
            assert codes[-1] in (0, 5, 8) and len(codes) < runs, f"{codes}: {tool.story()}"
        return codes

    def users_go_on(self) -> None:
        """Somebody accepts writes: the users see as many again."""
        seen = self.users.acknowledged()
        awaited(lambda: self.users.acknowledged() >= seen + 2 * WRITERS, "writes that are acknowledged")

    def held(self, *stops: Stop, policy: dict[str, float] | None = None) -> Tool:
        """Start it, and return when it has stopped at the first of *stops*: what then happens to the servers happens at exactly that place."""
        tool = self.tool(*stops, policy=policy)
        assert tool.stopped(), tool.story()
        return tool

    def freeze(self, tool: Tool) -> None:
        """Leave *tool*, which has stopped, alone until its pause is over."""
        assert tool.stopped(), tool.story()
        _PACE.wait(FROZEN_S)

    def named(self) -> Server:
        """Whom the pointer names."""
        return self.source if f" {self.source.address.port} " in self.pointer.read_text(encoding="utf-8") else self.target

    def rejoined(self) -> None:
        """An operator has the old master follow the new one, and sees it through: a resume in the middle of a full resync would say once more what it said before."""
        self.source.follows(self.target)
        awaited(lambda: in_step(self.target, self.source), f"the old master follows: {self.target.role()}, {self.source.role()}")

    def judged(self) -> Verdict:
        """When all is over: both are one master and its replica, in step, as the pointer says; then every acknowledged write is looked for at the master."""
        if self.verdict is not None:
            return self.verdict
        ledgers = self.users.leave()
        master = self.named()
        replica = self.source if master is self.target else self.target
        awaited(lambda: in_step(master, replica), f"one master and its replica: {master.role()}, {replica.role()}")
        lost = sum(len(ledger.missing(kept(master, ledger))) + len(ledger.missing(kept(replica, ledger))) for ledger in ledgers)
        found = Verdict(
            sum(len(one.at) for one in ledgers), lost, self._watch.samples, self._watch.two_masters, "source" if master is self.source else "target"
        )
        self.verdict = found
        return found

    def end(self) -> None:
        """Whatever still runs."""
        for tool in self.tools:
            tool.kill()
        if self.verdict is None:
            with suppress(AssertionError):
                self.users.leave()

    def _environment(self) -> dict[str, str]:
        found = {"POINTER": str(self.pointer), "STATE_DIR": str(self.folder / "state"), "REDIS_PASSWORD": PASSWORD}
        for side, server in (("SRC", self.source), ("DST", self.target)):
            for prefix, address in ((side, server.address), (f"{side}_REPL", server.way.address), (f"PTR_{side}", server.address)):
                found |= {f"{prefix}_HOST": address.host, f"{prefix}_PORT": str(address.port)}
        return {**os.environ, **found}


class Stage:
    """The pair of one program, for all cases of a worker."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program, self.folder = program, folder
        self._pair: tuple[Server, Server] | None = None
        self._made = 0

    @contextmanager
    def case(self) -> Iterator[Case]:
        """A converged pair, its users and the watch. What is not converged afterwards is thrown away."""
        source, target = self._converged()
        self._made += 1
        folder = self.folder / f"case-{self._made}"
        folder.mkdir()
        with Watch(source, target) as watch:
            case = Case(source, target, folder, watch)
            try:
                yield case
                case.judged()
                self._pair = (target, source) if case.verdict and case.verdict.master == "target" else (source, target)
            except BaseException:
                self.clear()
                raise
            finally:
                case.end()

    def clear(self) -> None:
        """End both servers; the next case gets others."""
        for server in self._pair or ():
            server.end()
        self._pair = None

    def _converged(self) -> tuple[Server, Server]:
        source, target = self._pair = self._pair or self._new()
        source.ask("FLUSHALL")
        awaited(lambda: in_step(source, target), "the pair, before the case")
        return source, target

    def _new(self) -> tuple[Server, Server]:
        self._made += 1
        with ExitStack() as stack:
            both = []
            for name in ("one", "two"):
                both.append(Server(self._program, self.folder / f"{name}-{self._made}"))
                stack.callback(both[-1].end)
            both[1].server.replicate(both[0].way.address)
            stack.pop_all()
        return both[0], both[1]


def sound(found: Verdict, master: str) -> bool:
    """Nothing lost, never two masters, and *master* has the authority. Raises AssertionError that says what was found; a verdict on too little is none."""
    assert (found.lost, found.two_masters, found.master) == (0, 0, master), found
    assert found.acknowledged > 50, found
    assert found.samples > 10, found
    return True


def in_step(master: Server, replica: Server) -> bool:
    """One master, its connected replica that holds as much, and nothing under way that a pre-check would refuse."""
    try:
        there, here = master.server.observe(), replica.server.observe()
    except Exception:
        return False
    linked = there.is_master and not here.is_master and here.link_up and here.replid == there.replid
    calm = not (there.saving_or_loading or here.saving_or_loading)
    return linked and calm and here.offset >= there.offset and any(one.state == "online" for one in there.replicas)


def kept(server: Server, ledger: Ledger) -> list[object]:
    """What *server* holds of what *ledger* says was acknowledged."""
    link, found = server.link("judge", 5.0), []
    try:
        for start in range(0, len(ledger.sequence), 1000):
            found += link.one("MGET", *(f"w:{ledger.client}:{number}" for number in ledger.sequence[start : start + 1000]))
    finally:
        link.close()
    return found
