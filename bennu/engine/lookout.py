"""What is kept in sight while a run waits or writes."""

from __future__ import annotations

from dataclasses import dataclass, field

from bennu.engine.journal import Journal
from bennu.engine.turns import Alarm, Counters, StopFlag
from bennu.engine.wake import Wake
from bennu.ports.repository import RequestBox


@dataclass(frozen=True)
class Lookout:
    """What is kept in sight between two polls."""

    journal: Journal
    box: RequestBox
    stop: StopFlag
    counters: Counters
    wake: Wake
    alarm: Alarm = field(default_factory=Alarm)
