"""The API server as an aiohttp application: who asks (401), for what (404), whether they may (403), then the handler; and TLS, start and stop."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from bennu.lab.kubeapi import discovery, openapi
from bennu.lab.kubeapi.answers import answer, failure
from bennu.lab.kubeapi.cluster import Cluster, ClusterSettings, make_cluster
from bennu.lab.kubeapi.handlers import Handlers
from bennu.lab.kubeapi.identity import User, impersonated
from bennu.lab.kubeapi.problems import ApiProblem, forbidden, no_such_path
from bennu.lab.kubeapi.rbac import Action
from bennu.lab.kubeapi.requests import target_of
from bennu.lab.kubeapi.selectors import name_required

_LOG = logging.getLogger(__name__)
CLUSTER = web.AppKey("cluster", Cluster)
_OF_MANY = {"list", "watch", "deletecollection"}
_OPEN_PATHS = frozenset({"/healthz", "/livez", "/readyz", "/version"})
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def _problems(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ApiProblem as problem:
        return failure(problem)
    except web.HTTPRequestEntityTooLarge:
        return failure(ApiProblem(413, "RequestEntityTooLarge", "Request entity too large: limit is 16 MiB"))
    except Exception:
        # The client learns that it was the server's fault; the why goes to the server's own log.
        _LOG.exception("%s %s failed", request.method, request.path)
        return failure(ApiProblem(500, "InternalError", "Internal error occurred: see the log of the lab's API server"))


def make_app(settings: ClusterSettings) -> web.Application:
    """The application of one cluster; its parts are in ``app[CLUSTER]``."""
    cluster = make_cluster(settings)
    app = web.Application(middlewares=[_problems], client_max_size=16 * 1024 * 1024)
    app[CLUSTER] = cluster
    front = _Front(cluster)
    app.router.add_route("*", "/{path:.*}", front.serve)
    return app


class _Front:
    """Everything before the handlers, and the paths that are about no resource."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._handlers = Handlers(cluster)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        if path in _OPEN_PATHS:
            return answer(discovery.VERSION) if path == "/version" else web.Response(text="ok")
        user = self._impersonated(self._cluster.identities.user(request.headers.get("Authorization", "")), request)
        about = self._about(request, path.rstrip("/"))
        if about is not None:
            return about
        parts = [part for part in path.split("/") if part]
        if len(parts) < 3 or parts[0] not in {"api", "apis"} or (parts[0] == "apis" and len(parts) < 4):
            raise no_such_path()
        target = target_of(self._cluster.registry, request.method, path, request.query)
        name = name_required(request.query.get("fieldSelector", "")) if target.verb in _OF_MANY else target.name
        self._authorize(user, Action(target.verb, target.resource.group, target.rbac_resource, target.namespace, name))
        return await self._handlers.handle(request, target, user)

    def _impersonated(self, user: User, request: web.Request) -> User:
        """``kubectl --as``: whoever may impersonate acts as another, and has only that one's rights. Raises 403."""
        name = request.headers.get("Impersonate-User", "")
        if not name:
            return user
        self._authorize(user, Action("impersonate", "", "users", "", name))
        return impersonated(name, tuple(request.headers.getall("Impersonate-Group", [])))

    def _authorize(self, user: User, action: Action) -> None:
        if not self._cluster.authorizer.allowed(user, action):
            raise forbidden(action.group, action.resource, action.name, f'User "{user.name}" {action}')

    def _about(self, request: web.Request, path: str) -> web.Response | None:
        registry = self._cluster.registry
        parts = path.split("/")[1:]
        if parts[0] == "openapi":
            return openapi.answer_to(registry, path, request)
        if parts[0] not in {"api", "apis"} or request.method != "GET":
            return None
        match parts:
            case ["api" | "apis"]:
                return self._roots(request, parts[0])
            case ["api", "v1"]:
                return answer(discovery.resources(registry, "", "v1"))
            case ["apis", group]:
                return answer(discovery.group(registry, group))
            case ["apis", group, version]:
                return answer(discovery.resources(registry, group, version))
        return None

    def _roots(self, request: web.Request, root: str) -> web.Response:
        registry = self._cluster.registry
        if "as=APIGroupDiscoveryList" in request.headers.get("Accept", "") and "v=v2;" in request.headers["Accept"].replace(" ", ""):
            return answer(discovery.aggregated(registry, core=root == "api"), content_type=discovery.AGGREGATED)
        return answer(discovery.api_versions(self._cluster.settings.address) if root == "api" else discovery.groups(registry))


def tls_of(certificate: Path, key: Path) -> ssl.SSLContext:
    """A server's TLS context; both files are PEM."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context


@asynccontextmanager
async def listening(app: web.Application, tls: ssl.SSLContext, port: int = 0) -> AsyncIterator[int]:
    """Serve *app* on 127.0.0.1 while the context is open; gives the port. Ends all watches at once on the way out."""
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.2, handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)
        await site.start()
        addresses = runner.addresses
        yield int(addresses[0][1])
    finally:
        await runner.cleanup()


async def serve_until(stopped: asyncio.Event, app: web.Application, tls: ssl.SSLContext, port: int) -> None:
    """Serve until *stopped* is set. Raises OSError if the port is taken."""
    async with listening(app, tls, port):
        await stopped.wait()
