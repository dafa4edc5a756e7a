"""The one place that builds adapters and hands them, with the phases' step list, to the engine."""

from bennu.wiring.runs import Over, alone, cleaning, resumed, started, wishes
from bennu.wiring.session import Options, Session, found_config, groups, session
from bennu.wiring.unlocking import looked, remembered, unlocking

__all__ = [
    "Options",
    "Over",
    "Session",
    "alone",
    "cleaning",
    "found_config",
    "groups",
    "looked",
    "remembered",
    "resumed",
    "session",
    "started",
    "unlocking",
    "wishes",
]
