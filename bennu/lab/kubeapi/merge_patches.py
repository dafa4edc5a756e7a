"""RFC 7386 merge patches and RFC 6902 JSON patches. Neither knows anything of kinds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bennu.lab.kubeapi.jsontree import copied
from bennu.lab.kubeapi.problems import ApiProblem, bad_request


def merge_patched(target: Any, patch: Any) -> Any:
    """*target* with the merge patch applied; neither is changed."""
    if not isinstance(patch, dict):
        return copied(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patched(result.get(key), value)
    return result


def json_patched(target: Any, operations: Any) -> Any:
    """*target* with the JSON patch applied. Raises 400 for a patch that cannot be read, 422 for one that does not fit."""
    if not isinstance(operations, list):
        raise bad_request("error decoding patch: a JSON patch is a list of operations")
    result = {"": copied(target)}
    for operation in operations:
        name = operation.get("op") if isinstance(operation, dict) else None
        if name not in _OPERATIONS or not isinstance(operation.get("path"), str):
            raise bad_request(f"error decoding patch: unknown operation {operation!r}")
        try:
            _OPERATIONS[name](result, operation)
        except (LookupError, TypeError, ValueError) as problem:
            raise _unfit(operation, problem) from problem
    return result[""]


def _unfit(operation: dict[str, Any], problem: Exception) -> ApiProblem:
    message = f"the server rejected our request due to an error in our request: {operation['op']} operation does not apply: {operation['path']}: {problem}"
    return ApiProblem(422, "Invalid", message)


def _tokens(pointer: str) -> list[str]:
    if pointer and not pointer.startswith("/"):
        raise ValueError("a JSON pointer starts with /")
    # The document hangs under the key "" so that the root is replaced like anything else.
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")]


def _index(items: list[Any], token: str, *, inserting: bool = False) -> int:
    if token == "-" and inserting:  # noqa: S105
        return len(items)
    position = int(token)
    if not 0 <= position < len(items) + (1 if inserting else 0):
        raise IndexError(f"index {token} is out of bounds")
    return position


def _read(root: Any, pointer: str) -> Any:
    node = root
    for token in _tokens(pointer):
        node = node[_index(node, token)] if isinstance(node, list) else node[token]
    return node


def _parent(root: Any, pointer: str) -> tuple[Any, str]:
    tokens = _tokens(pointer)
    node = root
    for token in tokens[:-1]:
        node = node[_index(node, token)] if isinstance(node, list) else node[token]
    return node, tokens[-1]


def _put(root: Any, pointer: str, value: Any) -> None:
    parent, token = _parent(root, pointer)
    if isinstance(parent, list):
        parent.insert(_index(parent, token, inserting=True), value)
    else:
        parent[token] = value


def _take(root: Any, pointer: str) -> Any:
    parent, token = _parent(root, pointer)
    return parent.pop(_index(parent, token)) if isinstance(parent, list) else parent.pop(token)


def _replace(root: Any, operation: dict[str, Any]) -> None:
    parent, token = _parent(root, operation["path"])
    if isinstance(parent, list):
        parent[_index(parent, token)] = operation["value"]
        return
    if token not in parent:
        raise KeyError(token)
    parent[token] = operation["value"]


def _test(root: Any, operation: dict[str, Any]) -> None:
    if _read(root, operation["path"]) != operation["value"]:
        raise ValueError("testing value failed")


_OPERATIONS: dict[str, Callable[[Any, dict[str, Any]], None]] = {
    "add": lambda root, op: _put(root, op["path"], copied(op["value"])),
    "remove": lambda root, op: _take(root, op["path"]) and None,
    "replace": _replace,
    "test": _test,
    "move": lambda root, op: _put(root, op["path"], _take(root, op["from"])),
    "copy": lambda root, op: _put(root, op["path"], copied(_read(root, op["from"]))),
}
