"""A pod's status, put together from what its containers do.

Pure. Only what the lab's readers look at is filled in: phase, conditions, container statuses, addresses, start time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bennu.lab.controllers.workloads_templates import conditions_after

Json = dict[str, Any]
POD_IP = "127.0.0.1"


@dataclass(frozen=True)
class ContainerState:
    """One container. ``state`` is the API's (``{"running": {"startedAt": …}}``, ``waiting`` or ``terminated``), ``last`` the one before."""

    name: str
    image: str
    state: Json
    ready: bool = False
    restarts: int = 0
    last: Json | None = None

    @property
    def exit_code(self) -> int | None:
        """Its exit code, if it is terminated."""
        ended = self.state.get("terminated")
        return None if ended is None else int(ended["exitCode"])

    def as_json(self) -> Json:
        """As an entry of ``containerStatuses``."""
        return {
            "name": self.name,
            "image": self.image,
            "imageID": self.image,
            "ready": self.ready,
            "started": "running" in self.state,
            "restartCount": self.restarts,
            "state": self.state,
            "lastState": self.last or {},
        }


@dataclass(frozen=True)
class PodState:
    """A whole pod: its init containers and containers in the order of the spec; ``started`` and ``now`` are RFC 3339."""

    init: Sequence[ContainerState]
    containers: Sequence[ContainerState]
    started: str
    now: str
    message: str = ""


def phase(state: PodState, *, restarts: bool) -> str:
    """Pending, Running, Succeeded or Failed; *restarts* says that an ended container comes back."""
    codes = [c.exit_code for c in state.containers]
    if codes and not restarts and all(c is not None for c in codes):
        return "Succeeded" if not any(codes) else "Failed"
    if not restarts and any(c.exit_code for c in state.init):
        return "Failed"
    live = any("running" in c.state or "terminated" in c.state or c.restarts for c in state.containers)
    return "Running" if live else "Pending"


def status_of(pod: Mapping[str, Any], state: PodState, *, restarts: bool) -> Json:
    """The whole ``status``."""
    said = phase(state, restarts=restarts)
    initialized = all(c.exit_code == 0 for c in state.init)
    ready = said == "Running" and all(c.ready for c in state.containers)
    completed = {"reason": "PodCompleted"} if said == "Succeeded" else {}
    unready = {} if ready else completed or {"reason": "ContainersNotReady", "message": state.message or "containers are not ready"}
    conditions = [
        {"type": "PodScheduled", "status": "True"},
        {"type": "Initialized", "status": "True" if initialized else "False"},
        {"type": "ContainersReady", "status": "True" if ready else "False", **unready},
        {"type": "Ready", "status": "True" if ready else "False", **unready},
    ]
    status: Json = {
        "phase": said,
        "conditions": conditions_after(pod, conditions, state.now),
        "hostIP": POD_IP,
        "podIP": POD_IP,
        "podIPs": [{"ip": POD_IP}],
        "startTime": state.started,
        "qosClass": "BestEffort",
        "containerStatuses": [c.as_json() for c in state.containers],
    }
    if state.init:
        status["initContainerStatuses"] = [c.as_json() for c in state.init]
    return status
