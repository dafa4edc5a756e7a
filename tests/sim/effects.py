"""What a call of each port's methods does to the world: from here the seams know what is an effect, and ``test_effects`` holds it beside the ports, method by method."""

from __future__ import annotations

from bennu.ports.certificates import Certificates
from bennu.ports.checkpoint import Checkpoint
from bennu.ports.clock import Clock
from bennu.ports.dns import Dns
from bennu.ports.kubernetes import Kubernetes
from bennu.ports.metrics import Metrics
from bennu.ports.provisioner import Provisioner
from bennu.ports.redis import Critical, Following, RedisServer
from bennu.ports.repository import Repository, RequestBox

# It changes something that outlives the process.
WRITES: dict[type, frozenset[str]] = {
    Certificates: frozenset(),
    Checkpoint: frozenset({"save", "save_dump"}),
    Clock: frozenset(),
    Dns: frozenset(),
    Kubernetes: frozenset({"apply", "patch", "patch_status", "delete"}),
    Metrics: frozenset(),
    Provisioner: frozenset({"up", "down"}),
    RedisServer: frozenset({"kill_named", "begin_save", "authenticate_as", "replicate"}),
    Critical: frozenset({"pause", "unpause", "fence", "make_master", "attach", "cut_clients", "write_probe"}),
    Following: frozenset(),
    Repository: frozenset({"advance", "probe_notes"}),
    RequestBox: frozenset({"post", "reply"}),
}
# It tells of the world, or of itself; a fetch changes this process's clone alone, and what a checkpoint keeps of a sighting or of its machine's name is for itself.
READS: dict[type, frozenset[str]] = {
    Certificates: frozenset({"not_after", "fingerprints"}),
    Checkpoint: frozenset({"load", "sighted", "machine", "room"}),
    Clock: frozenset({"wall", "boot", "lapsed"}),
    Dns: frozenset({"ask"}),
    Kubernetes: frozenset({"context", "endpoint", "credential_expiry", "uid", "version", "serves", "get", "list", "can", "watch"}),
    Metrics: frozenset({"traffic", "gateway_alive", "ingress_rps", "ingress_clients"}),
    Provisioner: frozenset({"outputs", "knows"}),
    RedisServer: frozenset(
        {"name", "observe", "members", "lives", "last_save", "export", "credential", "profile", "credential_for_master", "trust", "lets_in", "expiries"}
    ),
    Critical: frozenset({"observe", "position", "round_trip", "read_probe"}),
    Following: frozenset({"anew", "reaches"}),
    Repository: frozenset({"branch", "fetch", "head", "read", "files", "log", "diff", "journal", "claims", "probe_push"}),
    RequestBox: frozenset({"pending", "answer"}),
}
# It lets time pass, or holds something that the kernel lets go of when the process ends.
LASTS: dict[type, frozenset[str]] = {
    Checkpoint: frozenset({"exclusive"}),
    Clock: frozenset({"wait", "wake"}),
    Kubernetes: frozenset({"forwarded"}),
    RedisServer: frozenset({"critical"}),
    Critical: frozenset({"following"}),
}
EFFECTS = frozenset[str]().union(*WRITES.values())
