"""ingress-routing.yaml: HTTPRoutes (gateway.networking.k8s.io v1 or v1beta1; the file's version is kept). Only Bennu's own backends and weights are touched.

Bennu's backends are those that a caller names. Linkerd rejects a backend Service without a port (facts.md), so one is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bennu.errors import ConfigError
from bennu.manifests import yaml_edit, yaml_read


def weights(text: str, namespace: str, route: str, file: str) -> dict[str, int]:
    """Backend name → weight (Kubernetes' default is 1); of a backend that several rules have, the first rule's. Raises ConfigError."""
    found: dict[str, int] = {}
    for backends in _rules(text, namespace, route, file).values():
        for backend in backends:
            found.setdefault(str(backend.get("name")), _weight(backend, route, file))
    return found


def with_weights(text: str, namespace: str, route: str, wanted: Mapping[str, int | None], port: int, file: str) -> str:
    """The file with *wanted* weights; None removes that backend, a missing one is added with *port*.

    In every rule that leads to one of the wanted backends already: were one path of an app left out, its requests would never be in the canary. Raises ConfigError
    where no rule does.
    """
    target = yaml_edit.Target("HTTPRoute", route, namespace)
    ours = [index for index, backends in _rules(text, namespace, route, file).items() if any(one.get("name") in wanted for one in backends)]
    if not ours:
        raise ConfigError(
            f"HTTPRoute {namespace}/{route} leads to none of {', '.join(wanted)}", file=file, line=1, next_step="check apps[].service in bennu.yaml"
        )
    for index in ours:
        base: tuple[str | int, ...] = ("spec", "rules", index, "backendRefs")
        for name, weight in wanted.items():
            backends = _rules(text, namespace, route, file)[index]
            at = next((place for place, one in enumerate(backends) if one.get("name") == name), None)
            if at is not None and weight is not None:
                text = yaml_edit.set_value(text, target, (*base, at, "weight"), weight, file)
            elif at is not None:
                text = yaml_edit.delete(text, target, (*base, at), file)
            elif weight is not None:
                text = yaml_edit.append(text, target, base, {"name": name, "port": port, "weight": weight}, file)
    return text


def _rules(text: str, namespace: str, route: str, file: str) -> dict[int, list[dict[str, Any]]]:
    """The route's rules that have backends: index → backends."""
    for one in yaml_read.objects(text, file):
        if one.get("kind") != "HTTPRoute":
            continue
        name, where = yaml_read.named(one, file)
        if name == route and (where or namespace) == namespace:
            rules = yaml_read.mappings(one, ("spec", "rules"), file)
            found = {index: yaml_read.mappings(rule, ("backendRefs",), file) for index, rule in enumerate(rules)}
            if any(found.values()):
                return {index: backends for index, backends in found.items() if backends}
            raise ConfigError(f"HTTPRoute {namespace}/{route} has no rule with backends", file=file, line=yaml_read.line_of(one, ("spec", "rules")))
    raise ConfigError(f"HTTPRoute {namespace}/{route} is not in this file", file=file, line=1, next_step="check apps[].route in bennu.yaml")


def _weight(backend: Mapping[str, Any], route: str, file: str) -> int:
    found = backend.get("weight", 1)
    if not isinstance(found, int) or isinstance(found, bool):
        raise ConfigError(
            f"HTTPRoute {route}: the weight of backend {backend.get('name')} must be a whole number", file=file, line=yaml_read.line_of(backend, ("weight",))
        )
    return found
