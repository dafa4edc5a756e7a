"""Requests for the holder, in a ref beside the journal's (``git_refs``): a chain of commits whose messages hold one JSON line each, appended by compare-and-swap."""

from __future__ import annotations

import json
from typing import Any

from bennu.adapters.git import PLAIN_LOG, GitRepository
from bennu.adapters.git_objects import Pen
from bennu.adapters.git_process import last_words
from bennu.adapters.git_refs import local_requests
from bennu.core.clusters import Group
from bennu.errors import DependencyDown
from bennu.ports.repository import Reply, Request

_Line = dict[str, Any]  # JSON, one of {"request": …} and {"reply": …}

_TRIES = 5
_LOOK_S = 10.0  # a holder looks here between two polls of its monitors: a stalled remote must not keep it from them


class GitRequestBox:
    """The port ``RequestBox``; shares the repository's clone."""

    def __init__(self, repository: GitRepository) -> None:
        self._clone = repository.clone
        self._pen = Pen(repository.clone)
        self._known: tuple[str, list[_Line]] = ("", [])

    def pending(self, group: Group) -> tuple[Request, ...]:
        """See the port."""
        try:
            _, lines = self._lines(group)
        except DependencyDown:
            return ()
        answered = {line["reply"]["id"] for line in lines if "reply" in line}
        asked = [line["request"] for line in lines if "request" in line]
        return tuple(Request(r["id"], r["verb"], r["by"], r["at"], dict(r.get("data", {})), r.get("rotation", "")) for r in asked if r["id"] not in answered)

    def post(self, group: Group, request: Request) -> None:
        """See the port."""
        line = {"id": request.id, "verb": request.verb, "by": request.by, "at": request.at, "rotation": request.rotation, "data": dict(request.data)}
        self._append(group, {"request": line}, f"{request.verb} asked by {request.by}")

    def reply(self, group: Group, reply: Reply) -> None:
        """See the port."""
        self._append(group, {"reply": {"id": reply.id, "accepted": reply.accepted, "text": reply.text}}, f"answer to {reply.id}")

    def answer(self, group: Group, request_id: str) -> Reply | None:
        """See the port."""
        for line in self._lines(group)[1]:
            found = line.get("reply", {})
            if found.get("id") == request_id:
                return Reply(request_id, bool(found["accepted"]), str(found["text"]))
        return None

    def _ref(self, group: Group) -> str:
        return self._clone.remote.refs.requests(group)

    def _tip(self, group: Group) -> str:
        ran = self._clone.network("ls-remote", "--quiet", "--", self._clone.remote.url, self._ref(group), limit_s=_LOOK_S)
        if not ran.ok:
            raise self._clone.unreachable(ran)
        return ran.out.partition("\t")[0].strip()

    def _lines(self, group: Group) -> tuple[str, list[_Line]]:
        """The ref's tip (empty for none) and its lines, oldest first."""
        tip = self._tip(group)
        if not tip or tip == self._known[0]:
            return (tip, self._known[1] if tip else [])
        ref = local_requests(group)
        # By force: requests are no history to be guarded, and who may rewrite them may ask for anything anyway.
        ran = self._clone.fetched(f"+{self._ref(group)}:{ref}", limit_s=_LOOK_S)
        if not ran.ok:
            raise self._clone.unreachable(ran)
        tip = self._clone.reader.id(ref)
        out = self._clone.checked("log", *PLAIN_LOG, "--first-parent", "--reverse", "--format=%b%x00", tip)
        self._known = (tip, [found for part in out.split("\x00") if (found := _parsed(part)) is not None])
        return self._known

    def _append(self, group: Group, line: _Line, subject: str) -> None:
        ref = self._ref(group)
        for _ in range(_TRIES):
            tip, lines = self._lines(group)
            made = self._pen.message(tip, f"bennu: {subject}"[:72], json.dumps(line, separators=(",", ":")) + "\n")
            self._pen.flush()
            ran = self._clone.network(
                "push", "--porcelain", "--no-follow-tags", f"--force-with-lease={ref}:{tip}", "--", self._clone.remote.url, f"{made}:{ref}"
            )
            if ran.ok or self._tip(group) == made:
                self._clone.changed("update-ref", local_requests(group), made)
                self._known = (made, [*lines, line])
                return
        raise DependencyDown(f"the request could not be left with the Git remote: {last_words(ran)}", next_step="try again")


def _parsed(text: str) -> _Line | None:
    """A line that isn't one (somebody wrote to the ref by hand) is passed over: a request is only ever what Bennu wrote."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    asked, said = found.get("request"), found.get("reply")
    if isinstance(asked, dict):
        data = asked.get("data", {})
        texts = [asked.get(key) for key in ("id", "verb", "by", "at")] + [asked.get("rotation", "")]
        sound = all(isinstance(text, str) for text in texts) and isinstance(data, dict)
        return found if sound and all(isinstance(value, str) for value in data.values()) else None
    sound = isinstance(said, dict) and isinstance(said.get("accepted"), bool) and all(isinstance(said.get(key), str) for key in ("id", "text"))
    return found if sound else None
