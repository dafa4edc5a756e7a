"""The one place that builds adapters and hands them, with the phases' step list, to the engine."""

from bennu.wiring.runs import cleaning, resumed, started, wishes
from bennu.wiring.session import Options, Session, found_config, groups, session

__all__ = ["Options", "Session", "cleaning", "found_config", "groups", "resumed", "session", "started", "wishes"]
