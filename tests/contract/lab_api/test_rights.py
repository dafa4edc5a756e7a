"""Who may do what: tokens, ServiceAccounts, roles."""

from __future__ import annotations

import base64
from typing import Any

RBAC = "/apis/rbac.authorization.k8s.io/v1"
SECRETS = "/api/v1/namespaces/default/secrets"


def account_token(api: Any, name: str = "mirror") -> str:
    api.call("POST", "/api/v1/namespaces/default/serviceaccounts", {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"{name}-token", "annotations": {"kubernetes.io/service-account.name": name}},
        "type": "kubernetes.io/service-account-token",
    }
    data = api.call("POST", SECRETS, secret).body["data"]
    assert base64.b64decode(data["namespace"]) == b"default"
    assert b"BEGIN CERTIFICATE" in base64.b64decode(data["ca.crt"])
    return base64.b64decode(data["token"]).decode()


def grant(api: Any, rules: list[dict[str, Any]], *, cluster_wide: bool) -> None:
    prefix = "Cluster" if cluster_wide else ""
    where = RBAC if cluster_wide else f"{RBAC}/namespaces/default"
    plural = prefix.lower()
    api.call(
        "POST", f"{where}/{plural}roles", {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": f"{prefix}Role", "metadata": {"name": "r"}, "rules": rules}
    )
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": f"{prefix}RoleBinding",
        "metadata": {"name": "b"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": f"{prefix}Role", "name": "r"},
        "subjects": [{"kind": "ServiceAccount", "name": "mirror", "namespace": "default"}],
    }
    assert api.call("POST", f"{where}/{plural}rolebindings", binding).code == 201


def test_no_token_and_an_unknown_one_are_401(api: Any) -> None:
    for token in ("", "nobodys"):
        refused = api.call("GET", "/api/v1/namespaces", token=token)
        assert (refused.code, refused.body["reason"]) == (401, "Unauthorized")


def test_health_and_version_need_no_token(api: Any) -> None:
    assert api.call("GET", "/healthz", token="").body == "ok"
    assert api.call("GET", "/version", token="").code == 200


def test_an_account_without_a_role_is_403_and_told_what_it_lacks(api: Any) -> None:
    refused = api.call("GET", "/api/v1/namespaces/default/pods", token=account_token(api))
    assert (refused.code, refused.body["reason"]) == (403, "Forbidden")
    wanted = 'User "system:serviceaccount:default:mirror" cannot list resource "pods" in API group "" in the namespace "default"'
    assert wanted in refused.body["message"]


def test_a_role_counts_in_its_namespace_alone(api: Any) -> None:
    token = account_token(api)
    grant(api, [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}], cluster_wide=False)
    assert api.call("GET", "/api/v1/namespaces/default/pods", token=token).code == 200
    assert api.call("GET", "/api/v1/namespaces/kube-system/pods", token=token).code == 403
    assert api.call("GET", "/api/v1/pods", token=token).code == 403
    assert api.call("POST", "/api/v1/namespaces/default/pods", {}, token=token).code == 403


def test_a_cluster_role_counts_everywhere_and_for_its_verbs_alone(api: Any) -> None:
    token = account_token(api)
    grant(api, [{"apiGroups": [""], "resources": ["services"], "verbs": ["get", "list", "watch"]}], cluster_wide=True)
    assert api.call("GET", "/api/v1/services", token=token).code == 200
    assert api.call("DELETE", "/api/v1/namespaces/default/services/kubernetes", token=token).code == 403
    assert api.call("PATCH", "/api/v1/namespaces/default/services/kubernetes/status", {}, content_type="application/merge-patch+json", token=token).code == 403


def test_a_rule_for_one_name_covers_no_other(api: Any) -> None:
    token = account_token(api)
    grant(api, [{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["linkerd-config"], "verbs": ["get"]}], cluster_wide=False)
    assert api.call("GET", "/api/v1/namespaces/default/configmaps/linkerd-config", token=token).code == 404
    assert api.call("GET", "/api/v1/namespaces/default/configmaps/other", token=token).code == 403


def test_a_rule_for_one_name_lets_that_one_be_listed_and_watched(api: Any) -> None:
    token = account_token(api)
    grant(api, [{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["pointer"], "verbs": ["list", "watch"]}], cluster_wide=False)
    configmaps = "/api/v1/namespaces/default/configmaps"
    for selector, code in (
        ("metadata.name%3Dpointer", 200),
        ("metadata.name%3Dother", 403),
        ("metadata.name%21%3Dpointer", 403),
        ("metadata.namespace%3Ddefault", 403),
    ):
        assert api.call("GET", f"{configmaps}?fieldSelector={selector}", token=token).code == code, selector
    assert api.call("GET", configmaps, token=token).code == 403
    assert api.call("GET", f"{configmaps}?watch=true&timeoutSeconds=1&fieldSelector=metadata.name%3Dpointer", token=token).code == 200


def test_a_deleted_token_secret_revokes_the_token(api: Any) -> None:
    token = account_token(api)
    api.call("DELETE", f"{SECRETS}/mirror-token")
    assert api.call("GET", "/api/v1/namespaces/default/pods", token=token).code == 401


def test_an_access_review_answers_for_the_asker(api: Any) -> None:
    token = account_token(api)
    grant(api, [{"apiGroups": [""], "resources": ["pods", "pods/portforward"], "verbs": ["get", "create"]}], cluster_wide=False)

    def may(verb: str, resource: str, subresource: str = "") -> bool:
        attributes = {"verb": verb, "resource": resource, "subresource": subresource, "namespace": "default"}
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": attributes}}
        answer = api.call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body, token=token)
        assert answer.code == 201
        return bool(answer.body["status"]["allowed"])

    assert may("get", "pods")
    assert may("create", "pods", "portforward")
    assert not may("create", "pods", "log")
    assert not may("list", "secrets")


def test_a_token_secret_for_nobody_is_refused(api: Any) -> None:
    annotations = {"kubernetes.io/service-account.name": "nobody"}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "t", "annotations": annotations}, "type": "kubernetes.io/service-account-token"}
    assert api.call("POST", SECRETS, body).code == 422
