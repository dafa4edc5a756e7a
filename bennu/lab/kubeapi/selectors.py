"""Label and field selectors: text → predicate. A selector that cannot be read is a 400, never an empty answer."""

from __future__ import annotations

import re
from collections.abc import Callable

from bennu.lab.kubeapi.jsontree import dotted
from bennu.lab.kubeapi.problems import Obj, bad_request

Matches = Callable[[Obj], bool]

_KEY = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?/)?[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_VALUE = r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)?"
_EXISTS = re.compile(rf"^(?P<no>!\s*)?(?P<key>{_KEY})$")
_EQUAL = re.compile(rf"^(?P<key>{_KEY})\s*(?P<op>==|=|!=)\s*(?P<value>{_VALUE})$")
_ORDER = re.compile(rf"^(?P<key>{_KEY})\s*(?P<op>[<>])\s*(?P<value>-?\d+)$")
_SET = re.compile(rf"^(?P<key>{_KEY})\s+(?P<op>in|notin)\s*\((?P<values>[^()]*)\)$")
_COMMA = re.compile(r",(?![^(]*\))")

FIELDS = frozenset({"metadata.name", "metadata.namespace"})
FIELDS_OF_KIND: dict[str, frozenset[str]] = {
    "Pod": frozenset({"status.phase", "spec.nodeName", "spec.restartPolicy", "spec.serviceAccountName", "status.podIP"}),
    "Event": frozenset(
        {f"involvedObject.{f}" for f in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")}
        | {"reason", "type", "source", "reportingComponent"}
    ),
    "Secret": frozenset({"type"}),
    "Namespace": frozenset({"status.phase"}),
    "Node": frozenset({"spec.unschedulable"}),
    "Job": frozenset({"status.successful"}),
    "Service": frozenset({"spec.clusterIP", "spec.type"}),
    "ReplicaSet": frozenset({"status.replicas"}),
}


def label_selector(text: str) -> Matches:
    """A predicate for ``labelSelector``, e.g. ``a=b,c!=d,e in (f,g),!h``."""
    tests = [_requirement(part.strip(), text) for part in _COMMA.split(text) if part.strip()]
    return lambda obj: all(test(obj["metadata"].get("labels") or {}) for test in tests)


def _requirement(part: str, whole: str) -> Callable[[dict[str, str]], bool]:
    if found := _EXISTS.match(part):
        key, wanted = found["key"], found["no"] is None
        return lambda labels: (key in labels) is wanted
    if found := _EQUAL.match(part):
        key, value, same = found["key"], found["value"], found["op"] != "!="
        return lambda labels: (labels.get(key) == value) is same
    if found := _SET.match(part):
        key, values, inside = found["key"], {v.strip() for v in found["values"].split(",")}, found["op"] == "in"
        return lambda labels: (labels.get(key) in values) is inside
    if found := _ORDER.match(part):
        key, limit, above = found["key"], int(found["value"]), found["op"] == ">"
        return lambda labels: _ordered(labels.get(key), limit, above=above)
    raise bad_request(f"unable to parse requirement: {part!r} in label selector {whole!r}")


def _ordered(value: str | None, limit: int, *, above: bool) -> bool:
    if value is None or not value.lstrip("-").isdigit():
        return False
    return int(value) > limit if above else int(value) < limit


def field_selector(text: str, kind: str, more: frozenset[str] = frozenset()) -> Matches:
    """A predicate for ``fieldSelector``; only fields that the kind's real server indexes are taken (*more*: a CRD's selectable ones)."""
    known = FIELDS | FIELDS_OF_KIND.get(kind, frozenset()) | more
    tests: list[tuple[str, str, bool]] = []
    for part in (p.strip() for p in text.split(",") if p.strip()):
        found = re.match(r"^([^=!]+?)\s*(==|=|!=)\s*(.*)$", part)
        if found is None:
            raise bad_request(f"invalid selector: {text!r}; can't understand {part!r}")
        if found[1] not in known:
            raise bad_request(f'"{found[1]}" is not a known field selector: only {", ".join(sorted(known))}')
        tests.append((found[1], found[3], found[2] != "!="))
    return lambda obj: all((_text(dotted(obj, path)) == value) is same for path, value, same in tests)


def name_required(text: str) -> str:
    """The name of the one object that a ``fieldSelector`` can select, empty where it can select others: a list or watch of it needs the right to that object alone."""
    found = re.search(r"(?:^|,)\s*metadata\.name\s*==?\s*([^,\s]+)\s*(?:,|$)", text)
    return found[1] if found else ""


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def both(labels: str, fields: str, kind: str) -> Matches:
    """The selectors of one request in one predicate."""
    by_label = label_selector(labels) if labels else None
    by_field = field_selector(fields, kind) if fields else None
    return lambda obj: (by_label is None or by_label(obj)) and (by_field is None or by_field(obj))
