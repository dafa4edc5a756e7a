"""What can be broken in the lab, by name, and how it heals."""

from __future__ import annotations

import difflib
import os
import signal
from collections.abc import Mapping

from bennu.errors import UsageError
from bennu.lab import spawn
from bennu.lab.controllers.processes_book import end_survivors
from bennu.lab.places import ClusterDir, LabDir

# name → (what the user reads, the values it takes; the first is the default)
KNOWN: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "link": ("the mesh link: link (both ways) or link:blue-green (importing-exporting)", ("cut", "stall")),
    "redis": ("a cluster's Redis: redis:blue", ("kill", "stop")),
    "flux": ("a cluster's Flux: flux:green", ("down",)),
    "api": ("a cluster's API server: api:green", ("stop",)),
    "cluster": ("a whole cluster, for good: cluster:blue", ("die",)),
    "payment": ("a cluster's payment-service: payment:green", ("errors", "slow")),
    "git": ("the Git remote", ("down", "stall")),
    "dns": ("the name server", ("down",)),
    "metrics": ("Prometheus", ("down", "empty")),
}
_EVERYWHERE = ("git", "dns", "metrics")
_FOR_GOOD = "cluster"  # it is never among the faults that heal: what its processes held in memory is gone


def broken(lab: LabDir, what: str, how: str = "") -> tuple[str, ...]:
    """Put a fault in force; the names under which it is. Raises UsageError with a did-you-mean."""
    kind, where = _kind_of(what, "broken")
    value = how or KNOWN[kind][1][0]
    if value not in KNOWN[kind][1]:
        raise UsageError(f"{kind} cannot be broken by {value!r}", next_step=f"choose one of {', '.join(KNOWN[kind][1])}")
    if kind == _FOR_GOOD and not where:
        raise UsageError("a cluster that dies does not come back: name the one", next_step=f"choose one of {', '.join(_names(lab, kind, ''))}")
    names = _names(lab, kind, where)
    for name in names:
        if kind == _FOR_GOOD:
            _died(lab.cluster(where))
        if kind == "api":
            _signalled(lab, name, signal.SIGSTOP)
        lab.set_fault(name, _again(lab, name, value))
    return names


def healed(lab: LabDir, what: str) -> tuple[str, ...]:
    """Take faults off: one by name, all of a kind, or ``all``. Raises UsageError for what isn't broken, or is nothing at all."""
    faults = {name: how for name, how in lab.faults().items() if not name.startswith(f"{_FOR_GOOD}:")}
    if what.partition(":")[0] == _FOR_GOOD:
        raise UsageError("a cluster that died does not come back", next_step="'bennu rotate promote --dr' goes on without it; 'bennu lab down' ends the lab")
    names = tuple(name for name in faults if what in ("all", name) or name.startswith(f"{what}:"))
    if not names and what != "all":
        _kind_of(what, "healed")
        raise UsageError(f"{what!r} is not broken", next_step=f"broken now: {', '.join(faults) or 'nothing'}")
    for name in names:
        if name.startswith("api:"):
            _signalled(lab, name, signal.SIGCONT)
        lab.clear_fault(name)
    return names


def forgotten(lab: LabDir, colour: str) -> None:
    """Take off the faults of a cluster that is no more: the next one of its colour begins whole."""
    for name in lab.faults():
        kind, _, where = name.partition(":")
        if kind not in _EVERYWHERE and colour in where.split("-"):
            lab.clear_fault(name)


def _kind_of(what: str, done: str) -> tuple[str, str]:
    """(kind, where). Raises UsageError."""
    kind, _, where = what.partition(":")
    if kind not in KNOWN:
        close = difflib.get_close_matches(kind, KNOWN, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise UsageError(f"nothing called {what!r} can be {done}", next_step=hint + "choose: " + "; ".join(words for words, _ in KNOWN.values()))
    return kind, where


def _again(lab: LabDir, name: str, value: str) -> str:
    """A kill bites once a value: another one needs another value."""
    before = lab.faults().get(name, "")
    if value != "kill" or not before.startswith("kill"):
        return value
    return f"kill#{int(before.partition('#')[2] or 1) + 1}"


def _names(lab: LabDir, kind: str, where: str) -> tuple[str, ...]:
    colours = [cluster.load().colour for cluster in lab.clusters()]
    if kind in _EVERYWHERE:
        there = [""]
    elif kind == "link":
        there = [f"{a}-{b}" for a in colours for b in colours if a != b]
        if not there:
            raise UsageError(f"there is no link yet: the lab has one cluster, {', '.join(colours)}", next_step="'bennu rotate start' brings the second one")
    else:
        there = colours
    if not where:
        return tuple(f"{kind}:{one}" if one else kind for one in there)
    if where not in there:
        close = difflib.get_close_matches(where, there, n=1)
        hint = f"did you mean {kind}:{close[0]}? " if close and close[0] else ""
        choice = ", ".join(f"{kind}:{one}" if one else kind for one in there)
        raise UsageError(f"the lab has no {kind} {where!r}", next_step=f"{hint}there is: {choice}")
    return (f"{kind}:{where}",)


def _died(cluster: ClusterDir) -> None:
    """Every process of it at once, as when the power goes: the controllers first, so that nothing is started again."""
    processes = cluster.load().processes if cluster.exists else {}
    for record in (processes[name] for name in sorted(processes)):
        if spawn.alive(record):
            os.kill(int(record["pid"]), signal.SIGKILL)
    end_survivors(cluster.root / "pids.json")


def _signalled(lab: LabDir, name: str, number: int) -> None:
    cluster = lab.cluster(name.partition(":")[2])
    record = cluster.load().processes["kubeapi"] if cluster.exists else None
    if record is not None and spawn.alive(record):
        os.kill(int(record["pid"]), number)
