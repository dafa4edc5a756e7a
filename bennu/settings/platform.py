"""What carries a group: clusters, provisioner, Vault, Flux, Linkerd."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from bennu.settings.fields import ColourTemplate, Label, Line, Port, Reference, RepoPath, Seconds, SecretRef, Section, Url, Whole, fields_of


class ClusterSettings(Section):
    """How a colour's API is reached. ``kubeconfig`` empty: as kubectl finds it."""

    context: Line
    kubeconfig: Line | None = None


class KubernetesSettings(Section):
    """Manners towards the API."""

    proxy: Line = "kubeconfig"
    exec_plugins: tuple[Line, ...] | None = None
    min_credential_life: Seconds | None = None


class SubstituteSettings(Section):
    """Which ConfigMap takes what is new."""

    configmap: Reference
    from_: tuple[Literal["cluster-config", "provisioner.outputs"], ...] = Field(default=(), alias="from")


class TargetSettings(Section):
    """What else a new cluster's directory needs."""

    copy_from: Literal["source"] = "source"
    substitute: SubstituteSettings | None = None


class ProvisionerSettings(Section):
    """``command``: argument lists with {colour}, {env}, {region}. ``terraform``: a root module with a workspace a colour."""

    kind: Literal["command", "terraform"]
    up: tuple[str, ...] = ()
    down: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    timeout: Seconds | None = None
    dir: Line | None = None
    workspace: Line | None = None
    var_files: tuple[Line, ...] = ()
    before_destroy: tuple[Literal["load-balancers", "volumes", "karpenter-nodes"], ...] = ()


class LoginSettings(Section):
    """Who Bennu is to Vault: a token, from the environment or a file."""

    method: Literal["token", "kubernetes", "oidc", "approle"] = "token"
    role: Line | None = None
    token: SecretRef = "env:VAULT_TOKEN"  # noqa: S105  # a reference


class VaultSettings(Section):
    """Vault, for identities and secrets. ``ca_file`` is the authority that signed its certificate, where the system does not trust it."""

    address: Url
    namespace: Line | None = None
    ca_file: Line | None = None
    login: LoginSettings = LoginSettings()
    kubernetes_auth: dict[str, str] = Field(default={})
    pki: dict[str, str] = Field(default={})
    secrets: dict[str, str] = Field(default={})


class FluxSettings(Section):
    """Flux' namespace, and the catalog folders that bring it up."""

    namespace: Label = "flux-system"
    bootstrap: tuple[RepoPath, ...] = ()
    pointer_owner: Line = "auto"
    max_reconcile: Seconds | None = None


class GatewaySettings(Section):
    """Overrides of what the Link says of the gateway, as text (a Link's ports are strings); ``{KEY}`` is filled in from the cluster's cluster-config."""

    min_replicas: Annotated[Whole, Field(ge=1)] = 1
    address: str | None = None
    port: str | None = None
    probe_port: str | None = None
    probe_period: str | None = None


class PeerSettings(Section):
    """Whether each mirror controller reaches the other API server."""

    from_: Literal["both", "none"] = Field(default="both", alias="from")
    port: Port = 443


class MeshSettings(Section):
    """Linkerd."""

    link_name: ColourTemplate = "cluster-{colour}"
    namespace: Label = "linkerd"
    multicluster_namespace: Label = "linkerd-multicluster"
    peer_api_reachable: PeerSettings | None = None
    gateway: GatewaySettings = GatewaySettings()

    @field_validator("link_name")
    @classmethod
    def _one_a_colour(cls, text: str) -> str:
        if not fields_of(text):
            raise ValueError("must contain {colour}: both directions would be one Link")
        return text
