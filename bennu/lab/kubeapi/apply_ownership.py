"""Who owns which field (``metadata.managedFields``), and server-side apply on top of it.

The algorithm is structured-merge-diff's ``Updater``: an apply merges the configuration over the live object, removes what the same manager had applied before
and now leaves out (unless another manager owns it too), and conflicts where it changes a field of another manager. A plain write takes ownership of what it
changes. An applied empty map owns that it exists, and clears nothing inside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from bennu.lab.kubeapi.field_paths import as_tree, difference, from_tree, members, shown, with_ancestors
from bennu.lab.kubeapi.merging import merged, without
from bennu.lab.kubeapi.metadata import now
from bennu.lab.kubeapi.problems import ApiProblem, Cause, Obj, bad_request
from bennu.lab.kubeapi.shapes import Path, Shape


@dataclass(frozen=True)
class Manager:
    """One entry of managedFields. ``operation`` is Apply or Update; ``at`` its time."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""
    at: str = field(default="", compare=False)
    paths: frozenset[Path] = field(default=frozenset(), compare=False)

    def entry(self) -> Obj:
        """As managedFields has it."""
        entry: Obj = {
            "manager": self.name,
            "operation": self.operation,
            "apiVersion": self.api_version,
            "time": self.at,
            "fieldsType": "FieldsV1",
            "fieldsV1": as_tree(self.paths),
        }
        if self.subresource:
            entry["subresource"] = self.subresource
        return entry

    def __str__(self) -> str:
        text = f'"{self.name}"'
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        if self.operation == "Update":
            text += f" using {self.api_version} at {self.at}"
        return text

    def holding(self, paths: frozenset[Path]) -> Manager:
        """The same manager with other fields; its time moves if they differ."""
        return self if paths == self.paths else replace(self, paths=paths, at=now())


def managers_of(obj: Obj) -> list[Manager]:
    """The entries of an object's managedFields; unreadable ones count as absent, as upstream."""
    return list(_managers(obj.get("metadata", {}).get("managedFields") or []))


def _managers(entries: list[Obj]) -> Iterator[Manager]:
    for entry in entries:
        if not isinstance(entry, dict) or entry.get("operation") not in {"Apply", "Update"}:
            continue
        paths = frozenset(from_tree(entry.get("fieldsV1") or {}))
        yield Manager(
            str(entry.get("manager", "")),
            entry["operation"],
            str(entry.get("apiVersion", "")),
            str(entry.get("subresource") or ""),
            str(entry.get("time") or ""),
            paths,
        )


def _written(obj: Obj, managers: list[Manager]) -> None:
    entries = [m.entry() for m in sorted(managers, key=lambda m: (m.operation != "Apply", m.at, m.name)) if m.paths]
    if entries:
        obj["metadata"]["managedFields"] = entries
    else:
        obj["metadata"].pop("managedFields", None)


def record_update(old: Obj | None, new: Obj, writer: Manager, shape: Shape) -> None:
    """Note in ``new.metadata.managedFields`` what a plain write (POST, PUT, PATCH) changed and so owns from now on."""
    sent = new["metadata"].get("managedFields")
    # A client may rewrite the list (kubectl does, when it migrates from client-side apply); [{}] empties it, absent or [] means "as it was".
    held = managers_of(new if sent else old) if old is not None else []
    changed = difference(old or {}, new, shape)
    mine = next((m for m in held if m == writer), writer)
    managers = [m.holding(m.paths - changed.touched - changed.removed) for m in held if m != writer]
    managers.append(mine.holding((mine.paths | changed.touched) - changed.removed))
    _written(new, managers)


def apply(live: Obj | None, config: Obj, writer: Manager, shape: Shape, *, force: bool) -> Obj:
    """The object after a server-side apply of *config* by *writer*. Raises 409 naming the other managers (unless *force*), 400 for untyped lists."""
    try:
        return _apply(live, config, writer, shape, force=force)
    except ValueError as problem:
        raise bad_request(f"failed to create typed patch object: {problem}") from problem


def _apply(live: Obj | None, config: Obj, writer: Manager, shape: Shape, *, force: bool) -> Obj:
    wanted = frozenset(members(config, shape))
    held = managers_of(live) if live is not None else []
    mine = next((m for m in held if m == writer), writer)
    others = [m for m in held if m != writer]
    # What this manager had applied before, leaves out now, and nobody else owns. The metadata itself is never taken away.
    dropped = with_ancestors(mine.paths) - with_ancestors(wanted.union(*(m.paths for m in others))) - {("f:metadata",)}
    result: Obj = without(merged(live or {}, config, shape), shape, dropped)
    changed = difference(live or {}, result, shape)
    conflicts = {m: m.paths & changed.touched for m in others if m.paths & changed.touched}
    if conflicts and not force:
        raise conflict_of(conflicts)
    managers = [m.holding(m.paths - changed.touched - changed.removed) for m in others]
    _written(result, [*managers, mine.holding(wanted)])
    return result


def conflict_of(conflicts: dict[Manager, frozenset[Path]]) -> ApiProblem:
    """409, in the words that kubectl turns into its advice on ``--force-conflicts``."""
    causes = [
        Cause("FieldManagerConflict", f"conflict with {manager}", shown(path))
        for manager in sorted(conflicts, key=str)
        for path in sorted(conflicts[manager], key=shown)
    ]
    if len(causes) == 1:
        text = f"Apply failed with 1 conflict: {causes[0].message}: {causes[0].field}"
    else:
        groups = [
            f"conflicts with {manager}:\n" + "\n".join(f"- {shown(path)}" for path in sorted(conflicts[manager], key=shown))
            for manager in sorted(conflicts, key=str)
        ]
        text = f"Apply failed with {len(causes)} conflicts: " + "\n".join(groups)
    return ApiProblem(409, "Conflict", text, {"causes": [cause.as_json() for cause in causes]})
