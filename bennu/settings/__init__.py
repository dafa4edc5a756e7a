"""The settings: ``bennu.yaml``, then ``BENNU_*``, then flags; frozen.

``model`` is the schema, whole from the start; ``loading`` reads and reports with file and line; ``unsupported`` names what is in the schema and not yet in the code, so
that nothing is ignored in silence.
"""

from bennu.settings.loading import json_schema, load
from bennu.settings.model import GroupSettings, Settings
from bennu.settings.state import RedisSettings
from bennu.settings.traffic import AppSettings, WorkloadSettings

__all__ = ["AppSettings", "GroupSettings", "RedisSettings", "Settings", "WorkloadSettings", "json_schema", "load"]
