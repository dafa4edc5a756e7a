"""Watches: every change once and in order, from any remembered version on."""

from __future__ import annotations

import json
import threading
from contextlib import closing
from typing import Any

MAPS = "/api/v1/namespaces/default/configmaps"
MERGE = "application/merge-patch+json"


def config_map(name: str, **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}}


def events(stream: Any, count: int) -> list[tuple[str, str]]:
    found = [json.loads(stream.readline()) for _ in range(count)]
    return [(event["type"], event["object"].get("metadata", {}).get("name", "")) for event in found]


def version(api: Any) -> str:
    return str(api.call("GET", MAPS).body["metadata"]["resourceVersion"])


def test_a_watch_from_a_list_tells_what_came_after_it(api: Any) -> None:
    since = version(api)
    api.call("POST", MAPS, config_map("a"))
    api.call("PATCH", f"{MAPS}/a", {"data": {"k": "1"}}, content_type=MERGE)
    api.call("DELETE", f"{MAPS}/a")
    with closing(api.watch(f"{MAPS}?watch=1&resourceVersion={since}")) as stream:
        assert events(stream, 3) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


def test_a_watch_without_a_version_begins_with_what_exists(api: Any) -> None:
    api.call("POST", MAPS, config_map("a"))
    with closing(api.watch(f"{MAPS}?watch=1")) as stream:
        assert events(stream, 2) == [("ADDED", "a"), ("ADDED", "kube-root-ca.crt")]
        api.call("DELETE", f"{MAPS}/a")
        assert events(stream, 1) == [("DELETED", "a")]


def test_no_event_is_lost_while_many_write_and_many_watch(api: Any) -> None:
    since = version(api)
    writers, each, watchers = 4, 40, 3
    seen: list[list[str]] = []

    def write(writer: int) -> None:
        for number in range(each):
            api.call("POST", MAPS, config_map(f"w{writer}-{number}"))

    def look() -> None:
        with closing(api.watch(f"{MAPS}?watch=1&resourceVersion={since}")) as stream:
            seen.append([json.loads(stream.readline())["object"]["metadata"]["resourceVersion"] for _ in range(writers * each)])

    threads = [threading.Thread(target=look) for _ in range(watchers)] + [threading.Thread(target=write, args=(n,)) for n in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    expected = sorted(int(item["metadata"]["resourceVersion"]) for item in api.call("GET", MAPS).body["items"] if item["metadata"]["name"].startswith("w"))
    assert len(expected) == writers * each
    assert [[int(text) for text in one] for one in seen] == [expected] * watchers


def test_an_object_enters_and_leaves_a_selection(api: Any) -> None:
    since = version(api)
    with closing(api.watch(f"{MAPS}?watch=1&labelSelector=x%3D1&resourceVersion={since}")) as stream:
        api.call("POST", MAPS, config_map("a"))
        api.call("PATCH", f"{MAPS}/a", {"metadata": {"labels": {"x": "1"}}}, content_type=MERGE)
        api.call("PATCH", f"{MAPS}/a", {"data": {"k": "1"}}, content_type=MERGE)
        api.call("PATCH", f"{MAPS}/a", {"metadata": {"labels": {"x": "2"}}}, content_type=MERGE)
        assert events(stream, 3) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


def test_a_watch_ends_at_its_timeout_with_a_bookmark_on_the_way_if_asked(api: Any) -> None:
    with closing(api.watch(f"{MAPS}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1")) as stream:
        lines = [json.loads(line) for line in stream]
    assert [line["type"] for line in lines[:2]] == ["ADDED", "BOOKMARK"]
    assert lines[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_a_version_from_before_the_servers_start_is_gone(api: Any) -> None:
    with closing(api.watch(f"{MAPS}?watch=1&resourceVersion=1")) as stream:
        event = json.loads(stream.readline())
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")


def test_a_watch_of_one_namespace_sees_no_other(api: Any) -> None:
    api.call("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}})
    since = version(api)
    with closing(api.watch(f"{MAPS}?watch=1&resourceVersion={since}")) as stream:
        api.call("POST", "/api/v1/namespaces/other/configmaps", config_map("there"))
        api.call("POST", MAPS, config_map("here"))
        assert events(stream, 1) == [("ADDED", "here")]
