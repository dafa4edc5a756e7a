"""Who may do what: Roles, ClusterRoles and their bindings, evaluated at each request. The admin's group may do all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bennu.lab.kubeapi.identity import User
from bennu.lab.kubeapi.problems import Obj
from bennu.lab.kubeapi.store import Address, Store

_GROUP = "rbac.authorization.k8s.io"
ROLES, CLUSTER_ROLES = (_GROUP, "roles"), (_GROUP, "clusterroles")
BINDINGS, CLUSTER_BINDINGS = (_GROUP, "rolebindings"), (_GROUP, "clusterrolebindings")

# What every authenticated caller may do, as the real server's bootstrap bindings say.
_EVERYONE: tuple[Obj, ...] = (
    {"verbs": ["create"], "apiGroups": ["authorization.k8s.io"], "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]},
    {"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]},
)


@dataclass(frozen=True)
class Action:
    """``resource`` includes the subresource: ``pods/portforward``."""

    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        where = f' in the namespace "{self.namespace}"' if self.namespace else " at the cluster scope"
        return f'cannot {self.verb} resource "{self.resource}" in API group "{self.group}"{where}'


class Authorizer:
    """Answers for one cluster's store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def allowed(self, user: User, action: Action) -> bool:
        """Whether *user* may do *action*."""
        return user.is_admin or any(_covers(rule, action) for rule in self.rules(user, action.namespace))

    def rules(self, user: User, namespace: str) -> Iterator[Obj]:
        """All rules that hold for *user* in *namespace* (cluster-wide ones included)."""
        yield from _EVERYONE
        for binding in self._store.list(CLUSTER_BINDINGS):
            if _binds(binding, user, ""):
                yield from self._role_rules(binding["roleRef"], "")
        if namespace:
            for binding in self._store.list(BINDINGS, namespace):
                if _binds(binding, user, namespace):
                    yield from self._role_rules(binding["roleRef"], namespace)

    def _role_rules(self, reference: Obj, namespace: str) -> list[Obj]:
        key = CLUSTER_ROLES if reference.get("kind") == "ClusterRole" else ROLES
        role = self._store.get(Address(key, "" if key == CLUSTER_ROLES else namespace, str(reference.get("name"))))
        return list((role or {}).get("rules") or [])


def _binds(binding: Obj, user: User, namespace: str) -> bool:
    for subject in binding.get("subjects") or ():
        name = subject.get("name", "")
        if subject.get("kind") == "ServiceAccount":
            if user.name == f"system:serviceaccount:{subject.get('namespace', namespace)}:{name}":
                return True
        elif subject.get("kind") == "Group":
            if name in user.groups:
                return True
        elif name == user.name:
            return True
    return False


def _covers(rule: Obj, action: Action) -> bool:
    verbs, groups, resources, names = (rule.get(field) or [] for field in ("verbs", "apiGroups", "resources", "resourceNames"))
    plain, _, subresource = action.resource.partition("/")
    wanted = {"*", action.resource} | ({f"*/{subresource}"} if subresource else {plain})
    return (
        ("*" in verbs or action.verb in verbs)
        and ("*" in groups or action.group in groups)
        and bool(wanted & set(resources))
        and (not names or action.name in names)
    )
