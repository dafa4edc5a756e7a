"""The repository and the settings of a simulated group: the lab's fleet, cut down to what decisions look at."""

from __future__ import annotations

import base64
import re
from typing import Any

import yaml

from bennu.core.clusters import Group
from bennu.manifests.traffic_state import Keys
from bennu.settings import Settings

GROUP = Group("prod", "us-east-1")
HOME = "clusters/prod/us-east-1"
RECORD = "api.test"
TTL_S = 6


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def renamed(keys: Keys) -> dict[str, str]:
    """The specification's names → the group's."""
    return {"REDIS_READ_HOST": keys.read, "REDIS_WRITE_HOST": keys.write, "IS_WRITE_MASTER": keys.master, "MAINTENANCE_MODE": keys.maintenance}


def settings(
    *, redis: bool, apps: tuple[str, ...], active_only: bool, dns: bool, weights: tuple[int, ...], keys: Keys, via: str = "", ledger: str = ""
) -> Settings:
    """What bennu.yaml says; *ledger* is more of what it says of Redis, as YAML."""
    workers = [{"kind": "CronJob", "namespace": "payments", "name": "settlement"}, {"kind": "Deployment", "namespace": "payments", "name": "dispatcher"}]
    found = {
        "name": "ledger",
        "service": {"namespace": "database", "name": "redis", "port": 6379},
        "replicate_via": "service",
        "sync_image": "redis:7",
        "reach": "direct",
        **(yaml.safe_load(ledger) or {}),
    }
    group: dict[str, Any] = {
        "clusters": {colour: {"context": f"sim-{colour}"} for colour in ("red", "blue", "green")},
        "provisioner": {"kind": "command", "up": ["up"], "down": ["down"]},
        "flux": {"bootstrap": ["catalogs/flux"]},
        "pointer": {"configmap": {"namespace": "payments", "name": "global-traffic-state"}, "keys": renamed(keys)} | _pointed(via),
        "redis": [found] if redis else [],
        "elsewhere": {"moved": ["database/redis", "database/data-redis-*"]},
        "apps": [_app(name) for name in apps],
        "active_only": workers if active_only else [],
        "both": [{"kind": "Deployment", "namespace": "*", "name": "*"}, *([] if active_only else workers)],
        "metrics": {"prometheus": {"url": "http://prometheus.test"}},
        "canary": {"weights": list(weights)},
        "drain": {"residual": {"rps": 0.5, "ignore": ["kube-probe/*"]}},
    }
    if dns:
        group["dns"] = {"records": [RECORD], "target_service": {"namespace": "apisix", "name": "apisix-gateway"}, "verify": ["authoritative"]}
    return Settings.model_validate({"version": 1, "policy": "lab", "repository": {"remote": "https://git.test/fleet.git"}, "groups": {str(GROUP): group}})


def _pointed(via: str) -> dict[str, Any]:
    return {"mode": "service", "write_service": {"namespace": "database", "name": "redis-write", "via": via}} if via else {}


def _app(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "route": {"namespace": "payments", "name": f"{name}-split"},
        "service": {"namespace": "payments", "name": name, "port": 8080},
        "capacity": {"deployment": name},
    }


def files(*, redis: bool, apps: tuple[str, ...], dns: bool, keys: Keys, via: str = "") -> dict[str, str]:
    """The repository with one active cluster, blue."""
    here = f"{HOME}/cluster-blue"
    found = {
        f"{here}/cluster-config.yaml": _CONFIG,
        f"{here}/traffic-state.yaml": re.sub(r"(?m)^  ([A-Z_]+):", lambda found: f"  {renamed(keys)[found[1]]}:", _TRAFFIC) + WRITE_SERVICE[via],
        f"{here}/ingress-routing.yaml": "---\n".join(_ROUTE.replace("@APP@", app) for app in apps),
        f"{here}/profile-sync.yaml": _profile(redis=redis),
        f"{here}/flux-system/gotk-sync.yaml": _SYNC,
        f"{here}/links/.gitkeep": "",
        "catalogs/flux/flux.yaml": _deployment("source-controller", "flux-system"),
        "catalogs/flux/crds.yaml": "---\n".join(_crd(*one.split()) for one in _CRDS),
        "catalogs/platform/linkerd.yaml": "---\n".join(
            (_deployment("linkerd-destination", "linkerd"), _deployment("linkerd-gateway", "linkerd-multicluster"), _LINKERD)
        ),
        "catalogs/platform/apisix.yaml": _BALANCER,
        "catalogs/apps/workers.yaml": f"{_deployment('dispatcher', 'payments')}---\n{_CRONJOB}",
    }
    if dns:
        found |= {f"{here}/dns.yaml": _DNS, "catalogs/platform/external-dns.yaml": _EXTERNAL_DNS}
    for app in apps:
        found[f"catalogs/apps/{app}.yaml"] = f"{_deployment(app, 'payments')}---\n{_service(app, 'payments', 8080)}"
    for variant in ("hot-writer", "warm-reader") if redis else ():
        found[f"catalogs/redis/{variant}/redis.yaml"] = (
            f"{_service('redis', 'database', 6379)}---\n{_REDIS.replace('@VARIANT@', variant).replace('@ROLE@', 'replicaof 127.0.0.1 1' if variant == 'warm-reader' else '')}"
        )
    return found


def _profile(*, redis: bool) -> str:
    parts = {"platform": "platform", "apps": "apps"} | ({"redis": "redis/<< inputs.redisVariant >>"} if redis else {})
    return _PROFILE + "".join(_KUSTOMIZATION.replace("@NAME@", name).replace("@PATH@", path) for name, path in parts.items())


_CONFIG = """# What identifies this cluster.
apiVersion: v1
kind: ConfigMap
metadata: {name: cluster-config, namespace: flux-system}
data:
  CLUSTER_NAME: cluster-blue
  CLUSTER_COLOUR: blue
  GROUP: prod/us-east-1
  GATEWAY_ADDRESS: gateway-blue.test
  CLUSTER_UID: uid-blue
"""
_TRAFFIC = """# The write pointer.
apiVersion: v1
kind: ConfigMap
metadata: {name: global-traffic-state, namespace: payments}
data:
  REDIS_READ_HOST: "redis.database.svc.cluster.local"
  REDIS_WRITE_HOST: "redis.database.svc.cluster.local"
  IS_WRITE_MASTER: "true"
  MAINTENANCE_MODE: "false"
"""
WRITE_SERVICE = {
    "": "",
    "externalname": """---
apiVersion: v1
kind: Service
metadata: {name: redis-write, namespace: database}
spec: {type: ExternalName, externalName: redis.database.svc.cluster.local}
""",
    "tcproute": """---
apiVersion: v1
kind: Service
metadata: {name: redis-write, namespace: database}
spec: {ports: [{port: 6379}]}
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
metadata: {name: redis-write, namespace: database}
spec:
  parentRefs:
    - {group: core, kind: Service, name: redis-write, port: 6379}
  rules:
    - backendRefs:
        - name: redis # whoever is the master
          port: 6379
""",
}
_ROUTE = """apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: @APP@-split, namespace: payments}
spec:
  rules:
    - backendRefs:
        - name: @APP@ # local
          port: 8080
          weight: 100
"""
_PROFILE = """apiVersion: fluxcd.controlplane.io/v1
kind: ResourceSet
metadata: {name: profile, namespace: flux-system}
spec:
  inputs:
    - redisVariant: hot-writer
  resources:
"""
_KUSTOMIZATION = """    - apiVersion: kustomize.toolkit.fluxcd.io/v1
      kind: Kustomization
      metadata: {name: @NAME@, namespace: flux-system}
      spec:
        path: ./catalogs/@PATH@
"""
_SYNC = """apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: flux-system, namespace: flux-system}
spec: {url: https://git.test/fleet.git}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: flux-system, namespace: flux-system}
spec: {path: ./clusters/prod/us-east-1/cluster-blue}
"""
_DNS = f"""apiVersion: externaldns.k8s.io/v1alpha1
kind: DNSEndpoint
metadata: {{name: public, namespace: flux-system}}
spec:
  endpoints:
    - dnsName: {RECORD}
      recordTTL: {TTL_S}
      targets:
        - apisix-gateway-blue.test
"""
_EXTERNAL_DNS = """apiVersion: apps/v1
kind: Deployment
metadata: {name: external-dns, namespace: external-dns}
spec:
  replicas: 1
  selector: {matchLabels: {app: external-dns}}
  template:
    metadata: {labels: {app: external-dns}}
    spec: {containers: [{name: external-dns, args: [--source=crd, --txt-owner-id=prod-use1]}]}
"""
_CRDS = (
    "gitrepositories source.toolkit.fluxcd.io v1 GitRepository",
    "kustomizations kustomize.toolkit.fluxcd.io v1 Kustomization",
    "resourcesets fluxcd.controlplane.io v1 ResourceSet",
    "links multicluster.linkerd.io v1alpha3 Link",
    "httproutes gateway.networking.k8s.io v1 HTTPRoute",
    "tcproutes gateway.networking.k8s.io v1alpha2 TCPRoute",
    "dnsendpoints externaldns.k8s.io v1alpha1 DNSEndpoint",
)
_LINKERD = f"""apiVersion: v1
kind: Secret
metadata: {{name: linkerd-identity-issuer, namespace: linkerd}}
data: {{tls.crt: {encoded("ends 2035-01-01T00:00:00+00:00")}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: linkerd-identity-trust-roots, namespace: linkerd}}
data: {{ca-bundle.crt: the anchor}}
---
apiVersion: v1
kind: Service
metadata: {{name: linkerd-gateway, namespace: linkerd-multicluster}}
spec: {{type: LoadBalancer}}
---
apiVersion: v1
kind: Secret
type: kubernetes.io/service-account-token
metadata:
  name: mirror-token
  namespace: linkerd-multicluster
  annotations: {{kubernetes.io/service-account.name: linkerd-service-mirror-remote-access-default}}
data: {{token: {encoded("a token")}}}
"""
_BALANCER = """apiVersion: v1
kind: Service
metadata: {name: apisix-gateway, namespace: apisix}
spec: {type: LoadBalancer}
"""
_CRONJOB = """apiVersion: batch/v1
kind: CronJob
metadata: {name: settlement, namespace: payments}
spec: {schedule: "* * * * *"}
"""
_REDIS = """apiVersion: v1
kind: ConfigMap
metadata: {name: redis-config, namespace: database}
data: {variant: @VARIANT@, role.conf: "@ROLE@"}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: redis, namespace: database}
spec:
  replicas: 1
  selector: {matchLabels: {app: redis}}
  template:
    metadata: {labels: {app: redis}}
    spec:
      containers:
        - {name: redis, args: [--include, /config/role.conf], volumeMounts: [{name: config, mountPath: /config}]}
      volumes: [{name: config, configMap: {name: redis-config}}]
"""


def _crd(plural: str, group: str, version: str, kind: str) -> str:
    names = f"{{plural: {plural}, kind: {kind}}}"
    head = f"apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{name: {plural}.{group}}}\n"
    return f"{head}spec: {{group: {group}, names: {names}, versions: [{{name: {version}}}]}}\n"


def _deployment(name: str, namespace: str) -> str:
    labels = f"{{matchLabels: {{app: {name}}}}}"
    head = f"apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}, namespace: {namespace}}}\n"
    return f"{head}spec: {{replicas: 1, selector: {labels}, template: {{metadata: {{labels: {{app: {name}}}}}}}}}\n"


def _service(name: str, namespace: str, port: int) -> str:
    head = f'apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}, labels: {{mirror.linkerd.io/exported: "true"}}}}\n'
    return f"{head}spec: {{selector: {{app: {name}}}, ports: [{{port: {port}}}]}}\n"
