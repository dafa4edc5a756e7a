"""The whole schema at once, as a real platform would write it; and everything that is known and not done yet, refused by its name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bennu.errors import ConfigError
from bennu.lab.fleet_files import section
from bennu.settings import load, unsupported
from bennu.settings.model import Settings
from tests.unit.settings.files import group_with, read, refusal, repository_with, root_with, swapped

# A bank's group in one file: every section that the schema knows, each with values that such a platform has.
WHOLE = """\
# settings of the fleet
version: 1
policy: spec
policy_overrides: {provisioning_timeout_s: 40m, min_requests: 500}
repository:
  remote: git@git.bank.example:platform/fleet.git
  branch: trunk
  layout: {clusters: "fleet/{env}/{region}/cluster-{colour}", catalogs: shared/catalogs}
  delivery: {mode: pull-request, per: step, reviewers: [bank/sre, bank/payments], checks_timeout: 30m}
  signing: {mode: "off", presence: touch, notes: always}
  require: {ticket: "^RFC-[0-9]+$", second_person: [drain]}
  credentials: {username: robot, password: "file:/run/secrets/git"}
notify:
  - {slack: "env:CHAT_URL", on: [paused, failed]}
  - {command: [./page, "now"], on: [state]}
groups:
  live/eu-west-1:
    clusters:
      red: {context: live-red, kubeconfig: /etc/bank/kube}
      blue: {context: live-blue}
      green: {context: live-green}
    kubernetes: {proxy: "socks5://bastion:1080", exec_plugins: [gke-gcloud-auth-plugin], min_credential_life: 40m}
    target:
      copy_from: source
      substitute: {configmap: flux-system/vars, from: [cluster-config, provisioner.outputs]}
    provisioner:
      kind: terraform
      dir: infra/gke
      workspace: "live-{colour}"
      var_files: [infra/gke/live.tfvars]
      timeout: 1h
      before_destroy: [load-balancers, volumes, karpenter-nodes]
    vault:
      address: https://vault.bank.example
      login: {method: kubernetes, role: rotator}
      kubernetes_auth: {mount: "k8s-{colour}"}
      pki: {mount: pki-mesh, path: root/sign-intermediate}
      secrets: {delivery: csi, mount: kv}
    flux: {namespace: flux, bootstrap: [shared/catalogs/flux], pointer_owner: flux/apps, max_reconcile: 90s}
    mesh:
      link_name: "live-{colour}"
      namespace: linkerd
      multicluster_namespace: linkerd-mc
      peer_api_reachable: {from: both, port: 6443}
      gateway: {min_replicas: 2, address: "{GATEWAY}", port: "4143", probe_port: "4191", probe_period: 5s}
    pointer:
      configmap: {namespace: core, name: global-traffic-state}
      mode: service
      write_service: {namespace: data, name: redis-write, via: selector}
      maintenance_mode: "off"
      keys: {IS_WRITE_MASTER: master}
    redis:
      - name: sessions
        service: {namespace: data, name: redis, port: 6380}
        topology: sentinel
        reach: direct
        direct: {host: "redis-{colour}.bank.example", port: 6380}
        replicate_via: endpoint
        sync_image: registry.bank.example/redis:7
        auth: {secret: data/redis, key: password, username: bennu, same_on_both: false}
        tls: {ca_secret: data/redis-ca, key: ca.pem, server_name: "redis-{colour}.bank.example", client_secret: data/redis-client}
        persistence: accept-volatile
        reads_during_canary: write-host
        fence: {persists_by: manifest, restart_tested: true}
        reverse: accept-none
    elsewhere:
      external: [spanner/ledger]
      moved: ["data/redis-*"]
      disposable: ["logging/*"]
    apps:
      - name: cards
        route: {namespace: cards, name: cards-split, kind: HTTPRoute}
        service: {namespace: cards, name: cards, port: 8443}
        reads_pointer: file
        capacity: {deployment: cards, headroom: 1.5, prescale: match-source}
      - name: transfers
        route: {namespace: transfers, name: transfers-split}
        reads_pointer: env
    active_only:
      - {kind: CronJob, namespace: cards, name: statements, stop_within: 5m, kustomization: apps}
    both:
      - {kind: Deployment, namespace: logging, name: "*"}
    metrics:
      provider: command
      prometheus: {url: "https://prom.bank.example/api", headers: {X-Scope-OrgID: live}, token: "env:PROM_TOKEN"}
      selector: 'cluster="live-{colour}", tier="edge"'
    canary:
      weights: [1, 5, 25, 75]
      window: 15m
      success: {min: 99.5%, against: source, ignore_codes: [402, 409]}
      p99: {max: 900ms, against: source, worse_by: 15%}
      no_traffic: hold
      checks:
        - {name: egress, in: target, job: shared/checks/egress.yaml, before: 1%}
        - {name: smoke, command: [./smoke, "{colour}"], at: each-weight}
    switchover: {pause_budget: 1500ms, window: "Sun 03:00-05:00 UTC", when_paused: unwatched}
    dns:
      kind: externaldns
      records: [cards.bank.example, transfers.bank.example]
      endpoint: {namespace: flux, name: public}
      txt_owner: live-eu
      target_service: {namespace: edge, name: gateway}
      controller: {kind: Deployment, namespace: dns, name: external-dns}
      prelower: 30s
      verify: [authoritative, 9.9.9.9]
    drain: {keep_source: 12h, residual: {rps: 1.5, ignore: ["kube-probe/*"]}}
"""

# What of it is known and not done: dotted name → line.
REFUSED = {
    "repository.delivery.mode": 9,
    "repository.delivery.per": 9,
    "repository.delivery.reviewers": 9,
    "repository.delivery.checks_timeout": 9,
    "repository.signing.mode": 10,
    "repository.signing.presence": 10,
    "notify": 13,
    "groups.live/eu-west-1.kubernetes.proxy": 22,
    "groups.live/eu-west-1.kubernetes.min_credential_life": 22,
    "groups.live/eu-west-1.provisioner.before_destroy": 32,
    "groups.live/eu-west-1.vault.login.method": 35,
    "groups.live/eu-west-1.vault.login.role": 35,
    "groups.live/eu-west-1.vault.kubernetes_auth": 36,
    "groups.live/eu-west-1.vault.pki": 37,
    "groups.live/eu-west-1.vault.secrets": 38,
    "groups.live/eu-west-1.flux.pointer_owner": 39,
    "groups.live/eu-west-1.mesh.peer_api_reachable": 44,
    "groups.live/eu-west-1.pointer.write_service.via": 49,
    "groups.live/eu-west-1.redis[0].topology": 55,
    "groups.live/eu-west-1.redis[0].persistence": 62,
    "groups.live/eu-west-1.redis[0].fence.restart_tested": 64,
    "groups.live/eu-west-1.redis[0].reverse": 65,
    "groups.live/eu-west-1.apps[0].capacity.prescale": 75,
    "groups.live/eu-west-1.metrics.provider": 84,
    "groups.live/eu-west-1.canary.success.against": 90,
    "groups.live/eu-west-1.canary.success.ignore_codes": 90,
    "groups.live/eu-west-1.canary.p99.against": 91,
    "groups.live/eu-west-1.canary.p99.worse_by": 91,
    "groups.live/eu-west-1.canary.checks": 93,
    "groups.live/eu-west-1.switchover.window": 96,
    "groups.live/eu-west-1.switchover.when_paused": 96,
    "groups.live/eu-west-1.dns.prelower": 104,
    "groups.live/eu-west-1.drain.keep_source": 106,
}


def _told(error: ConfigError) -> dict[str, int]:
    """Dotted name → line of a refusal's problems."""
    return {found[2]: int(found[1]) for found in re.finditer(r"bennu\.yaml:(\d+): (\S+) is not supported yet: ", error.message)}


def test_a_realistic_file_is_understood_whole_and_refused_by_name_for_each_thing_that_is_not_done(tmp_path: Path) -> None:
    error = refusal(tmp_path, WHOLE)
    assert _told(error) == REFUSED
    assert all(" is not supported yet: " in line for line in error.message.splitlines()), "nothing else is wrong with it"


def test_the_whole_file_shows_every_rule_but_that_of_a_second_redis() -> None:
    paths = [rule.path for rule in unsupported.RULES] + [rule.path for rule in unsupported.GROUP_RULES]
    dotted = {".".join(str(part) for part in path if part != 0) for path in paths}
    told = {name.removeprefix("groups.live/eu-west-1.").replace("[0]", "") for name in REFUSED}
    assert dotted - told == {"redis"}


@pytest.mark.parametrize(
    ("text", "name", "instead"),
    [
        (repository_with("delivery: {mode: pull-request}"), "repository.delivery.mode", "write push"),
        (repository_with("delivery: {reviewers: [a]}"), "repository.delivery.reviewers", "leave it out"),
        (repository_with('signing: {mode: "off"}'), "repository.signing.mode", "signed where your Git signs"),
        (root_with("notify: [{on: [paused]}]"), "notify", "leave it out"),
        (group_with("flux: {pointer_owner: flux-system/apps}"), "groups.prod/us-east-1.flux.pointer_owner", "write auto"),
        (group_with("vault: {address: https://v, pki: {mount: p}}"), "groups.prod/us-east-1.vault.pki", "a secret store of your own"),
        (
            swapped(
                "name: global-traffic-state}\n",
                "name: global-traffic-state}\n      mode: service\n      write_service: {namespace: database, name: w, via: selector}\n",
            ),
            "groups.prod/us-east-1.pointer.write_service.via",
            "a mirror has no pods",
        ),
        (group_with("canary: {success: {against: source}}"), "groups.prod/us-east-1.canary.success.against", "write absolute"),
        (group_with("canary: {p99: {worse_by: 0%}}"), "groups.prod/us-east-1.canary.p99.worse_by", "leave it out"),
        (group_with("switchover: {when_paused: weights-to-source}"), "groups.prod/us-east-1.switchover.when_paused", "--no-wait"),
    ],
)
def test_one_thing_that_is_not_done_is_refused_alone_with_what_to_write_instead(tmp_path: Path, text: str, name: str, instead: str) -> None:
    error = refusal(tmp_path, text)
    assert f"{name} is not supported yet: " in error.message
    assert instead in error.message
    assert len(error.message.splitlines()) == 1


def test_a_second_redis_is_refused_and_said_so(tmp_path: Path) -> None:
    more = "      - name: cache\n        service: {namespace: database, name: cache, port: 6379}\n"
    error = refusal(tmp_path, swapped("    apps:\n", more + "    apps:\n"))
    assert "groups.prod/us-east-1.redis is not supported yet: one Redis a group" in error.message
    assert error.line == 12


def test_what_a_second_redis_asks_for_is_refused_at_its_own_line(tmp_path: Path) -> None:
    more = "      - name: cache\n        service: {namespace: database, name: cache, port: 6379}\n        topology: cluster\n"
    assert "bennu.yaml:17: groups.prod/us-east-1.redis[1].topology" in refusal(tmp_path, swapped("    apps:\n", more + "    apps:\n")).message


def test_values_that_say_the_default_are_not_refused(tmp_path: Path) -> None:
    text = group_with(
        "kubernetes: {proxy: kubeconfig}\nflux: {pointer_owner: auto}\ncanary: {no_traffic: hold, success: {min: 99%, against: absolute}, checks: []}\n"
        "switchover: {when_paused: keep-watching}\ntarget: {copy_from: source}"
    ).replace(
        "repository:\n", "notify: []\nrepository:\n  delivery: {mode: push, per: phase, reviewers: []}\n  signing: {mode: user, presence: none, notes: auto}\n"
    )
    assert isinstance(read(tmp_path, text), Settings)


def test_wrong_values_are_told_before_what_is_not_supported(tmp_path: Path) -> None:
    error = refusal(tmp_path, WHOLE.replace("policy: spec", "policy: quick"))
    assert "'spec' or 'lab' was expected" in error.message
    assert "not supported" not in error.message


@pytest.mark.parametrize("without", ["external", "inside"])
def test_the_labs_own_settings_load_but_for_the_places_that_it_fills_in(tmp_path: Path, without: str) -> None:
    text = (Path(__file__).parents[3] / "bennu" / "lab" / "fleet" / "bennu.yaml").read_text(encoding="utf-8")
    text = section(text, without=without)
    for name, value in {"REMOTE": "http://127.0.0.1:1/fleet.git", "LAB": "/tmp/lab", "PROMETHEUS": "2", "DNS": "3", "FENCE": "config-rewrite"}.items():
        text = text.replace(f"@@{name}@@", value)
    text = text.replace("@@PROVISIONER@@", "    provisioner: {kind: command, up: [up], down: [down]}")
    (tmp_path / "bennu.yaml").write_text(text, encoding="utf-8")
    assert load(tmp_path / "bennu.yaml", environ={}, flags={}).policy == "lab"
