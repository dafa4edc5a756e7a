"""What a server lets Bennu do, and what it must have in common with its other half: questions, and the replies as the port's values. Pure.

``ACL DRYRUN`` (Redis 7, Valkey) tries a command for a user without giving it; for Redis 6.2 the user's own rules are read instead. Before that, ``COMMAND INFO`` tells at least whether the command is there under its own name. A question
that is not answered is named (``Profile.unasked``): a comparison that did not take place is no likeness.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from bennu.adapters.redis_link import Refusal, Reply
from bennu.core.surroundings import Profile, User
from bennu.ports.redis import Credential

# What the hand-over asks of a server, as it asks it. The arguments are never used: nothing here is run.
NEEDED: tuple[tuple[str, ...], ...] = (
    ("PING",),
    ("INFO",),
    ("ROLE",),
    ("MULTI",),
    ("EXEC",),
    ("REPLICAOF", "NO", "ONE"),
    ("CLIENT", "PAUSE", "1", "WRITE"),
    ("CLIENT", "UNPAUSE"),
    ("CLIENT", "LIST"),
    ("CLIENT", "KILL", "ID", "1"),
    ("CLIENT", "SETNAME", "bennu"),
    ("CLIENT", "GETNAME"),
    ("CONFIG", "GET", "save"),
    ("CONFIG", "SET", "masterauth", "x"),
    ("CONFIG", "REWRITE"),
    ("PUBSUB", "NUMSUB", "x"),
    ("SET", "bennu:probe:x", "1", "EX", "1"),
    ("GET", "bennu:probe:x"),
)
_NAMES = tuple(dict.fromkeys(command[0].lower() for command in NEEDED))
QUESTIONS: tuple[tuple[str, ...], ...] = (
    ("COMMAND", "INFO", *_NAMES),
    ("ACL", "WHOAMI"),
    ("ACL", "LIST"),
    ("MODULE", "LIST"),
    ("CONFIG", "GET", "maxmemory-policy"),
    ("CONFIG", "GET", "notify-keyspace-events"),
    ("CONFIG", "GET", "databases"),
)
# A selector is one rule, in parentheses.
_RULES = re.compile(r"\([^)]*\)|\S+")
FOR_MASTER: tuple[tuple[str, ...], ...] = (("CONFIG", "GET", "masterauth"), ("CONFIG", "GET", "masteruser"))


def trials(replies: Sequence[Reply]) -> tuple[tuple[str, ...], ...]:
    """The second round of questions, from the replies to the first: each needed command, tried for whom we are logged in as."""
    return tuple(("ACL", "DRYRUN", str(replies[1]), *command) for command in NEEDED) if isinstance(replies[1], str) else ()


def profile(replies: Sequence[Reply], tried: Sequence[Reply]) -> Profile:
    """From the replies to QUESTIONS and to ``trials``."""
    known, whom, users, modules, policy, events, databases = replies
    return Profile(
        refused=tuple(dict.fromkeys([*_missing(known), *_denied(whom, users, tried)])),
        unasked=tuple(dict.fromkeys(_unanswered(replies, tried))),
        users=None if isinstance(users, Refusal) else tuple(_user(line) for line in users),
        modules=() if isinstance(modules, Refusal) else tuple(sorted(_modules(modules))),
        maxmemory_policy=_value(policy),
        notify_keyspace_events=_value(events),
        databases=int(_value(databases) or 0),
    )


def credential(replies: Sequence[Reply]) -> Credential:
    """From the replies to FOR_MASTER."""
    password, user = (_value(reply) for reply in replies)
    return Credential(user, password)


def _missing(known: Reply) -> Iterator[str]:
    if isinstance(known, Refusal):
        return  # named by ``_unanswered``
    for name, found in zip(_NAMES, known, strict=True):
        if not found:
            yield f"{name.upper()} (renamed or disabled)"


def _unanswered(replies: Sequence[Reply], tried: Sequence[Reply]) -> Iterator[str]:
    """Questions that were refused, by the first two words. Redis 6.2 has no DRYRUN; what may not be asked differs from what is not there."""
    for question, reply in zip(QUESTIONS, replies, strict=True):
        if isinstance(reply, Refusal):
            yield " ".join(question[:2])
    if any(isinstance(reply, Refusal) and reply.code == "NOPERM" for reply in tried):
        yield "ACL DRYRUN"


def _denied(whom: Reply, users: Reply, tried: Sequence[Reply]) -> Iterator[str]:
    """What the user may not do, by trying; by its own rules where no trial is known (6.2)."""
    if tried and isinstance(users, list) and all(isinstance(reply, Refusal) and reply.code != "NOPERM" for reply in tried):
        rules: list[str] = next((line.split(" ")[2:] for line in users if line.split(" ")[1] == whom), [])
        yield from (f"{_words(command)} (no permission)" for command in NEEDED if _allowed(command, rules) is False)
        return
    for command, reply in zip(NEEDED, tried, strict=bool(tried)):
        # An error means that it could not be tried: it is not allowed, or the command is missing, which is said elsewhere.
        if isinstance(reply, str) and reply != "OK":
            yield f"{_words(command)} ({'no permission for key bennu:probe:…' if 'key' in reply else 'no permission'})"


def _allowed(command: Sequence[str], rules: Sequence[str]) -> bool | None:
    """By rules of commands, the last that fits counts. None: a category decides whose commands are not known here."""
    mine = {command[0].lower(), _words(command).lower().replace(" ", "|")}
    allowed: bool | None = False
    for rule in rules:
        gives, what = rule[0] == "+", rule[1:]
        if rule[0] not in "+-":
            continue
        if what == "@all" or what in mine:
            allowed = gives
        elif what.startswith("@") and allowed is not gives:
            allowed = None
    return allowed


def _words(command: Sequence[str]) -> str:
    return " ".join(command[: 2 if command[0] in {"CLIENT", "CONFIG", "PUBSUB"} else 1])


def _user(line: str) -> User:
    """``user <name> on #<sha256 of the password> ~* +@all``."""
    _, name, *words = line.split(" ")
    login = sorted(word for word in words if word in {"on", "off", "nopass"} or word.startswith("#"))
    rules = _in_order(_RULES.findall(" ".join(word for word in words if word not in login)))
    return User(name, _fingerprint(login), _fingerprint(rules))


def _in_order(rules: Sequence[str]) -> list[str]:
    """The same rules in an order that two servers with the same ones share: Redis lists commands as its hash table, differently seeded in each process, happens to have them.

    Rules of single commands commute with each other, save a command with its own subcommands; a category's with none.
    """
    found: list[str] = []
    for single, rest in itertools.groupby(rules, key=lambda rule: rule[0] in "+-" and rule[1:2] != "@"):
        run = list(rest)
        found += _commands_in_order(run) if single else [_selector(rule) if rule[0] == "(" else rule for rule in run]
    return found


def _selector(rule: str) -> str:
    return f"({' '.join(_in_order(_RULES.findall(rule[1:-1])))})"


def _commands_in_order(run: Sequence[str]) -> list[str]:
    keyed: list[tuple[str, int, str, str]] = []
    whole: Counter[str] = Counter()  # how often a command itself was ruled on so far: its subcommands' rules before and after that mean different things
    for rule in run:
        command, _, sub = rule[1:].partition("|")
        whole[command] += not sub
        keyed.append((command, whole[command], sub, rule))
    return [rule for *_, rule in sorted(keyed, key=lambda one: one[:3])]


def _fingerprint(words: Sequence[str]) -> str:
    return hashlib.sha256(" ".join(words).encode()).hexdigest()


def _modules(reply: Reply) -> Iterator[str]:
    for one in reply:
        fields = dict(zip(one[::2], one[1::2], strict=False))
        # Valkey 9 shows its scripting engine as a module of this name; Redis has it built in.
        if fields.get("name") != "lua":
            yield f"{fields.get('name')} {fields.get('ver')}"


def _value(reply: Reply) -> str:
    return str(reply[1]) if isinstance(reply, list) and len(reply) == 2 else ""
