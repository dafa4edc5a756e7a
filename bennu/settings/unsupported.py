"""Settings that the schema knows and the code does not do yet. Each is refused by name, with what to do: a setting that is silently ignored is a promise broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bennu.settings.model import GroupSettings, Settings
from bennu.settings.state import RedisSettings
from bennu.settings.traffic import AppSettings

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Rule:
    """``path`` in words users know; ``used`` says whether the file asks for it; ``instead`` what to write for now."""

    path: Path
    instead: str
    used: Callable[[Settings], bool]


@dataclass(frozen=True)
class GroupRule:
    """The same inside a group. A 0 in ``path`` stands for each index that ``which`` gives."""

    path: Path
    instead: str
    used: Callable[[GroupSettings], bool]
    which: Callable[[GroupSettings], tuple[int, ...]] = lambda group: (0,)


def _redis(path: Path, instead: str, used: Callable[[RedisSettings], bool]) -> GroupRule:
    """For every item of ``redis``."""

    def which(group: GroupSettings) -> tuple[int, ...]:
        return tuple(index for index, redis in enumerate(group.redis) if used(redis))

    return GroupRule(("redis", 0, *path), instead, lambda group: bool(which(group)), which)


def _app(path: Path, instead: str, used: Callable[[AppSettings], bool]) -> GroupRule:
    """For every item of ``apps``."""

    def which(group: GroupSettings) -> tuple[int, ...]:
        return tuple(index for index, app in enumerate(group.apps) if used(app))

    return GroupRule(("apps", 0, *path), instead, lambda group: bool(which(group)), which)


RULES: tuple[Rule, ...] = (
    Rule(("repository", "delivery", "mode"), "write push", lambda s: s.repository.delivery.mode != "push"),
    Rule(("repository", "delivery", "per"), "leave it out; a push commits each step", lambda s: s.repository.delivery.per != "phase"),
    Rule(("repository", "delivery", "reviewers"), "leave it out; a push asks nobody", lambda s: bool(s.repository.delivery.reviewers)),
    Rule(("repository", "delivery", "checks_timeout"), "leave it out; a push waits for no checks", lambda s: s.repository.delivery.checks_timeout is not None),
    Rule(("repository", "signing", "mode"), "write user; commits are signed where your Git signs", lambda s: s.repository.signing.mode != "user"),
    Rule(("repository", "signing", "presence"), "leave it out; commits are signed where your Git signs", lambda s: s.repository.signing.presence != "none"),
    Rule(("notify",), "leave it out", lambda s: bool(s.notify)),
)

GROUP_RULES: tuple[GroupRule, ...] = (
    GroupRule(("kubernetes", "proxy"), "leave it out; the kubeconfig's proxy-url is used", lambda g: g.kubernetes.proxy != "kubeconfig"),
    GroupRule(("kubernetes", "min_credential_life"), "leave it out", lambda g: g.kubernetes.min_credential_life is not None),
    GroupRule(
        ("vault", "login", "method"), "write token, and say where it lies: token: env:VAULT_TOKEN", lambda g: bool(g.vault and g.vault.login.method != "token")
    ),
    GroupRule(("vault", "login", "role"), "leave it out; a token has its own policy", lambda g: bool(g.vault and g.vault.login.role)),
    GroupRule(
        ("vault", "kubernetes_auth"), "leave it out; let the target log in to Vault by means of your own", lambda g: bool(g.vault and g.vault.kubernetes_auth)
    ),
    GroupRule(("vault", "pki"), "leave it out; bring the target's identity with a secret store of your own", lambda g: bool(g.vault and g.vault.pki)),
    GroupRule(("vault", "secrets"), "leave it out; bring the target's secrets with a secret store of your own", lambda g: bool(g.vault and g.vault.secrets)),
    GroupRule(
        ("provisioner", "before_destroy"),
        "leave karpenter-nodes out; load balancers and volumes are always released",
        lambda g: "karpenter-nodes" in g.provisioner.before_destroy,
    ),
    GroupRule(("flux", "pointer_owner"), "write auto; the owner is read from the object's labels", lambda g: g.flux.pointer_owner != "auto"),
    GroupRule(("mesh", "peer_api_reachable"), "leave it out; the other API server is asked from here", lambda g: g.mesh.peer_api_reachable is not None),
    GroupRule(
        ("pointer", "write_service", "via"),
        "write tcproute or externalname; a mirror has no pods that a selector could pick",
        lambda g: g.pointer.write_service is not None and g.pointer.write_service.via == "selector",
    ),
    GroupRule(("redis",), "one Redis a group, or [] where state lives elsewhere", lambda g: len(g.redis) > 1),
    _redis(("topology",), "only primary-replicas can be handed over", lambda r: r.topology != "primary-replicas"),
    _redis(("fence", "restart_tested"), "leave it out; a written configuration is read back at the next start", lambda r: r.fence.restart_tested),
    _redis(("reverse",), "write required, and give --accept-one-way where it applies", lambda r: r.reverse != "required"),
    _redis(("persistence",), "write required", lambda r: r.persistence != "required"),
    _app(("capacity", "prescale"), "leave it out; the target's own replicas are waited for", lambda a: bool(a.capacity and a.capacity.prescale != "none")),
    GroupRule(("metrics", "provider"), "write prometheus", lambda g: g.metrics.provider != "prometheus"),
    GroupRule(("canary", "checks"), "leave it out", lambda g: bool(g.canary.checks)),
    GroupRule(("canary", "success", "against"), "write absolute", lambda g: bool(g.canary.success and g.canary.success.against != "absolute")),
    GroupRule(("canary", "success", "ignore_codes"), "leave it out", lambda g: bool(g.canary.success and g.canary.success.ignore_codes)),
    GroupRule(("canary", "p99", "against"), "write absolute", lambda g: bool(g.canary.p99 and g.canary.p99.against != "absolute")),
    GroupRule(("canary", "p99", "worse_by"), "leave it out", lambda g: bool(g.canary.p99 and g.canary.p99.worse_by is not None)),
    GroupRule(("switchover", "window"), "leave it out", lambda g: g.switchover.window is not None),
    GroupRule(("switchover", "when_paused"), "write keep-watching, or give --no-wait", lambda g: g.switchover.when_paused != "keep-watching"),
    GroupRule(("dns", "prelower"), "leave it out; the record's own TTL is waited for", lambda g: bool(g.dns and g.dns.prelower)),
    GroupRule(("drain", "keep_source"), "leave it out, and give --keep-source", lambda g: bool(g.drain.keep_source)),
)


def found(settings: Settings) -> Iterator[tuple[Path, str]]:
    """(path in the file, what to do) for everything that is asked for and not supported."""
    for rule in RULES:
        if rule.used(settings):
            yield rule.path, rule.instead
    for name, group in settings.groups.items():
        for inner in GROUP_RULES:
            for index in inner.which(group) if inner.used(group) else ():
                yield ("groups", name, *(index if part == 0 else part for part in inner.path)), inner.instead
