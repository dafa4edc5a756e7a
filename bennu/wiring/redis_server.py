"""The Redis of a colour from settings: the way to it, whom it trusts, and which credential is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bennu.adapters.redis import RedisEndpoint, RedisOverSocket
from bennu.adapters.redis_members import Members, Ways, beside
from bennu.adapters.redis_reach import Forwarded, direct, secret_value
from bennu.adapters.redis_tls import Tls
from bennu.core.clusters import Colour
from bennu.errors import DependencyDown
from bennu.ports.kubernetes import Kubernetes
from bennu.ports.redis import Address, RedisServer
from bennu.settings import GroupSettings
from bennu.settings.state import RedisSettings
from bennu.wiring.secret_sources import coloured_secret, login_ends


def redis_server(conf: GroupSettings, colour: Colour, cluster: Callable[[Colour], Kubernetes], environ: Mapping[str, str]) -> RedisServer:
    """The one Redis of the group in *colour*. Raises DependencyDown where the group keeps none."""
    if not conf.redis:
        raise DependencyDown("the group keeps no Redis in its clusters")
    redis, api = conf.redis[0], cluster(colour)
    password = _password(conf, redis, colour, api, environ)
    username = (redis.auth.username or "") if redis.auth else ""
    logins = login_ends(redis.auth.password if redis.auth else None, conf.vault, environ)
    endpoint = RedisEndpoint(f"Redis of {colour.cluster}", _address(redis, colour, api), password, username, tls=_tls(redis, colour, api), logins=logins)
    return RedisOverSocket(endpoint, _members(redis, colour, api))


def _password(conf: GroupSettings, redis: RedisSettings, colour: Colour, api: Kubernetes, environ: Mapping[str, str]) -> Callable[[], str]:
    if redis.auth is None:
        return str
    if redis.auth.password is not None:
        return coloured_secret(redis.auth.password, colour, conf.vault, environ)
    return secret_value(api, redis.auth.secret or "", redis.auth.key, "redis[].auth")


def _members(redis: RedisSettings, colour: Colour, api: Kubernetes) -> Callable[[], Ways]:
    """The pods, reached as ``reach`` says; with ``direct`` beside the address that it names."""
    where = redis.service
    pods = Members(api, where.namespace, where.name, None if redis.reach == "direct" else where.port)
    return pods if redis.direct is None else beside(_address(redis, colour, api), pods)


def _address(redis: RedisSettings, colour: Colour, api: Kubernetes) -> Callable[[], Address]:
    where = redis.service
    if redis.direct is not None:
        fixed = Address(redis.direct.host.format(colour=colour.value), redis.direct.port)
        return lambda: fixed
    if redis.reach == "direct":
        return direct(api, where.namespace, where.name)
    return Forwarded(api, where.namespace, where.name, where.port)


def _tls(redis: RedisSettings, colour: Colour, api: Kubernetes) -> Tls | None:
    tls = redis.tls
    if tls is None:
        return None
    default = redis.direct.host if redis.direct else f"{redis.service.name}.{redis.service.namespace}.svc.cluster.local"
    client: Callable[[], tuple[str, str]] | None = None
    if tls.client_secret is not None:
        certificate, key = (secret_value(api, tls.client_secret, name, "redis[].tls") for name in ("tls.crt", "tls.key"))
        client = lambda: (certificate(), key())  # noqa: E731  # a pair of providers
    return Tls(secret_value(api, tls.ca_secret, tls.key, "redis[].tls"), (tls.server_name or default).format(colour=colour.value), client)
