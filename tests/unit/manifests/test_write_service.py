"""The write Service's document: one scalar moves, and a document of another shape is refused before anything is written."""

from __future__ import annotations

import pytest

from bennu.errors import ConfigError
from bennu.manifests import write_service
from bennu.manifests.write_service import WriteService
from tests.sim.fleet import WRITE_SERVICE

LOCAL, MIRROR = "redis.database.svc.cluster.local", "redis-cluster-green.database.svc.cluster.local"
CONFIGMAP = "# The pointer.\nkind: ConfigMap\nmetadata: {name: global-traffic-state}\ndata:\n  A: b\n"
BY_NAME, BY_ROUTE = WriteService("database", "redis-write", "externalname"), WriteService("database", "redis-write", "tcproute")


@pytest.mark.parametrize(("which", "there"), [(BY_NAME, MIRROR), (BY_ROUTE, "redis-cluster-green")], ids=lambda one: getattr(one, "via", ""))
def test_one_scalar_moves_there_and_back(which: WriteService, there: str) -> None:
    text = CONFIGMAP + WRITE_SERVICE[which.via]
    moved = write_service.edited(text, which, MIRROR, "f")
    assert write_service.leads_to(write_service.document(moved, which, "f"), which) == there
    assert len([1 for one, other in zip(text.splitlines(), moved.splitlines(), strict=True) if one != other]) == 1
    assert write_service.edited(moved, which, LOCAL, "f") == text


def test_what_an_api_server_fills_in_is_no_difference() -> None:
    live = {"spec": {"rules": [{"backendRefs": [{"group": "", "kind": "Service", "name": "redis", "port": 6379, "weight": 1}]}]}}
    assert write_service.leads_to(live, BY_ROUTE) == "redis"
    assert write_service.leads_to({}, BY_ROUTE) == write_service.leads_to({}, BY_NAME) == ""


@pytest.mark.parametrize(
    ("which", "text", "words"),
    [
        (BY_NAME, CONFIGMAP, "must be in this file once, 0 found"),
        (BY_NAME, CONFIGMAP + WRITE_SERVICE["externalname"] * 2, "2 found"),
        (BY_NAME, CONFIGMAP + WRITE_SERVICE["tcproute"], "is not of type ExternalName"),
        (BY_ROUTE, CONFIGMAP + WRITE_SERVICE["tcproute"] + "        - name: other\n          port: 1\n", "2 backends found"),
        (
            BY_ROUTE,
            CONFIGMAP + WRITE_SERVICE["tcproute"].replace("port: 6379\n", "port: 6379\n          namespace: elsewhere\n"),
            "must be in namespace database",
        ),
    ],
)
def test_another_shape_is_refused_with_the_file(which: WriteService, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        write_service.edited(text, which, MIRROR, "traffic-state.yaml")
