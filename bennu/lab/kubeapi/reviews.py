"""Questions about rights and identities (``kubectl auth can-i``, ``auth whoami``): answered, never stored."""

from __future__ import annotations

from bennu.lab.kubeapi.cluster import Cluster
from bennu.lab.kubeapi.identity import User
from bennu.lab.kubeapi.problems import Obj, no_such_path
from bennu.lab.kubeapi.rbac import Action

REVIEWS = frozenset({"authorization.k8s.io", "authentication.k8s.io"})


def review(cluster: Cluster, kind: str, body: Obj, user: User) -> Obj:
    """The review with its status filled in."""
    spec = body.get("spec") or {}
    if kind == "SelfSubjectAccessReview":
        status = _access(cluster, user, spec)
    elif kind == "SubjectAccessReview":
        status = _access(cluster, User(str(spec.get("user", "")), tuple(spec.get("groups") or ())), spec)
    elif kind == "SelfSubjectRulesReview":
        status = _rules(cluster, user, str(spec.get("namespace", "")))
    elif kind == "SelfSubjectReview":
        status = {"userInfo": _info(user)}
    elif kind == "TokenReview":
        holder = cluster.identities.of_token(str(spec.get("token", "")))
        status = {"authenticated": True, "user": _info(holder)} if holder else {"authenticated": False}
    else:
        raise no_such_path()
    return {**body, "status": status}


def _info(user: User) -> Obj:
    return {"username": user.name, "uid": user.uid, "groups": list(user.groups)}


def _access(cluster: Cluster, user: User, spec: Obj) -> Obj:
    asked = spec.get("resourceAttributes")
    if asked is None:
        return {"allowed": user.is_admin or (spec.get("nonResourceAttributes") or {}).get("verb") == "get"}
    resource = str(asked.get("resource", ""))
    if asked.get("subresource"):
        resource += f"/{asked['subresource']}"
    action = Action(str(asked.get("verb", "")), str(asked.get("group", "")), resource, str(asked.get("namespace", "")), str(asked.get("name", "")))
    allowed = cluster.authorizer.allowed(user, action)
    return {"allowed": True} if allowed else {"allowed": False, "reason": f'User "{user.name}" {action}'}


def _rules(cluster: Cluster, user: User, namespace: str) -> Obj:
    rules = (
        [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
        if user.is_admin
        else [rule for rule in cluster.authorizer.rules(user, namespace) if rule.get("resources")]
    )
    return {
        "resourceRules": rules,
        "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/api", "/apis", "/version", "/healthz", "/openapi/*"]}],
        "incomplete": False,
    }
