"""Values: what a name, a duration, a share, a reference to a secret may be, and in which words others are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.settings.files import GROUP, SMALL, group_of, group_with, read, refusal, repository_with, root_with, swapped

HOSTILE = ["../x", "-oProxyCommand=touch", "$(reboot)", "a b", "UPPER", "", "a\\nb", "ünïcode", "x/y", "a" * 64, "-a", "a-"]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("place", ["name: ledger", "name: redis-master", "namespace: database", "name: payment-service"])
def test_a_name_that_could_reach_a_path_or_a_command_is_refused(tmp_path: Path, place: str, text: str) -> None:
    key = place.partition(":")[0]
    error = refusal(tmp_path, SMALL.replace(place, f'{key}: "{text}"', 1))
    assert "is not a valid name" in error.message


@pytest.mark.parametrize("name", ["../x", "prod", "prod/us/east", "prod/-oProxyCommand=x", "Prod/us", "prod/$(x)", "/"])
def test_a_groups_name_is_two_labels(tmp_path: Path, name: str) -> None:
    error = refusal(tmp_path, swapped("  prod/us-east-1:", f'  "{name}":'))
    assert f"groups.{name}: " in error.message
    assert error.line == 5


def test_a_group_there_must_be(tmp_path: Path) -> None:
    text = SMALL[: SMALL.index("groups:")]
    assert "groups: must not be empty" in refusal(tmp_path, text + "groups: {}\n").message
    assert "groups is missing" in refusal(tmp_path, text).message


def test_a_cluster_has_one_of_the_three_colours(tmp_path: Path) -> None:
    error = refusal(tmp_path, swapped("      green:", "      purple:"))
    assert "purple: 'red', 'blue' or 'green' was expected" in error.message
    assert error.line == 8


def test_a_group_without_clusters_is_refused(tmp_path: Path) -> None:
    text = swapped("    clusters:\n      blue: {context: acme-blue}\n      green: {context: acme-green}\n", "    clusters: {}\n")
    assert "clusters: must not be empty" in refusal(tmp_path, text).message


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("refs/heads", "must be refs/notes/<name>"),
        ("heads/bennu", "must be refs/notes/<name>"),
        ("refs/tags/bennu", "no tags"),
        ("refs/remotes/origin", "must be refs/notes/<name>"),
        ("refs/heads/../main", "is not a branch's name"),
        ("refs/heads/a.lock", "is not a branch's name"),
        ("refs/heads/main", "cannot both be"),
        ("refs/heads/main/bennu", "cannot both be"),
    ],
)
def test_a_place_of_the_journal_that_git_or_the_branch_would_not_bear_is_refused(tmp_path: Path, place: str, words: str) -> None:
    assert words in refusal(tmp_path, repository_with(f"journal_ref: {place}")).message


def test_a_branch_below_the_journals_is_refused_and_one_beside_them_is_not(tmp_path: Path) -> None:
    assert "cannot both be" in refusal(tmp_path, repository_with("journal_ref: refs/heads/bennu\nbranch: bennu-requests/x")).message
    assert read(tmp_path, repository_with("journal_ref: refs/heads/bennu\nbranch: bennu-main")).repository.journal_ref == "refs/heads/bennu"


@pytest.mark.parametrize(
    ("remote", "words"),
    [
        ("-oProxyCommand=touch", "must not begin with a dash"),
        ("--upload-pack=reboot", "must not begin with a dash"),
        ("ssh://-oProxyCommand=touch/fleet", "begins with a dash"),
        ("git@-oProxyCommand=touch:fleet", "begins with a dash"),
        ("ext::sh -c reboot", "remote helper"),
        ("fd::17", "remote helper"),
        ("https://git.acme.internal/fleet\\u00e9", "printable ASCII"),
        ("", "printable ASCII"),
        ("a\\nb", "printable ASCII"),
    ],
)
def test_a_remote_that_could_run_something_is_refused(tmp_path: Path, remote: str, words: str) -> None:
    assert words in refusal(tmp_path, swapped("git@github.com:acme/fleet.git", f'"{remote}"')).message


@pytest.mark.parametrize(
    "remote",
    [
        "git@github.com:acme/fleet.git",
        "ssh://git@github.com:22/acme/fleet.git",
        "https://ada@git.acme.internal/fleet.git",
        "https://git.acme.internal:8443/fleet.git",
        "http://127.0.0.1:3000/fleet.git",
        "ssh://git@[::1]:22/fleet",
        "git@[::1]:fleet",
        "/srv/git/fleet.git",
        "../fleet.git",
        "file:///srv/fleet.git",
    ],
)
def test_every_usual_way_to_name_a_remote_is_taken(tmp_path: Path, remote: str) -> None:
    assert read(tmp_path, swapped("git@github.com:acme/fleet.git", f'"{remote}"')).repository.remote == remote


# Secrets


@pytest.mark.parametrize(
    "remote",
    [
        "https://ada:hunter2@git.acme.internal/fleet.git",
        "HTTPS://ada:hunter2@git.acme.internal/fleet.git",
        "https://:hunter2@git.acme.internal/fleet.git",
        "https://ada:hunter2@x@git.acme.internal/fleet.git",
        "ssh://git:hunter2@host/fleet",
        "https://ada:hünter2hunter2@git.acme.internal/fleet.git",
        "https://ghp_hunter2@github.com/acme/fleet.git",
        "https://github_pat_hunter2@github.com/acme/fleet.git",
        "https://glpat-hunter2@gitlab.com/acme/fleet.git",
    ],
)
def test_a_password_or_token_in_the_remote_is_refused_and_not_repeated(tmp_path: Path, remote: str) -> None:
    error = refusal(tmp_path, swapped("git@github.com:acme/fleet.git", remote))
    assert "the remote holds a password" in error.message
    assert "hunter2" not in error.message + error.next_step


@pytest.mark.parametrize(
    "value", ["hunter2", "env:", "env:7UP", "env:HUNTER 2", "file:", "file:relative/hunter2", "vault:hunter2", "ENV:HUNTER2", "env:X\\nhunter2"]
)
@pytest.mark.parametrize("place", ["password", "token"])
def test_a_secret_typed_in_clear_is_refused_and_not_repeated(tmp_path: Path, place: str, value: str) -> None:
    if place == "password":
        text = repository_with(f'credentials: {{username: ada, password: "{value}"}}')
    else:
        text = swapped('prometheus"}', f'prometheus", token: "{value}"}}')
    error = refusal(tmp_path, text)
    assert "no secret stands in this file" in error.message
    assert "hunter" not in error.message.lower()


@pytest.mark.parametrize("value", ["env:GIT_TOKEN", "env:_x1", "file:/run/secrets/git"])
def test_a_reference_to_a_secret_is_taken(tmp_path: Path, value: str) -> None:
    login = read(tmp_path, repository_with(f"credentials: {{username: ada, password: {value}}}")).repository.credentials
    assert login is not None
    assert login.password == value


@pytest.mark.parametrize("header", ["Authorization", "proxy-authorization", "Cookie", "X-Api-Key", "X-Auth-Token"])
def test_a_header_that_would_hold_a_secret_is_refused(tmp_path: Path, header: str) -> None:
    error = refusal(tmp_path, swapped('prometheus"}', f'prometheus", headers: {{{header}: "Bearer hunter2"}}}}'))
    assert f"{header} would hold a secret; use token" in error.message
    assert "hunter2" not in error.message


def test_a_tenants_header_is_taken(tmp_path: Path) -> None:
    prometheus = group_of(tmp_path, swapped('prometheus"}', 'prometheus", headers: {X-Scope-OrgID: prod}}')).metrics.prometheus
    assert dict(prometheus.headers) == {"X-Scope-OrgID": "prod"}


def test_a_header_cannot_smuggle_a_second_one(tmp_path: Path) -> None:
    assert "printable ASCII" in refusal(tmp_path, swapped('prometheus"}', 'prometheus", headers: {X-A: "b\\r\\nX-C: d"}}')).message


def test_an_address_with_a_login_is_refused_and_not_repeated(tmp_path: Path) -> None:
    error = refusal(tmp_path, swapped("https://mimir.acme.internal", "https://ada:hunter2@mimir.acme.internal"))
    assert "the address holds a login" in error.message
    assert "hunter2" not in error.message


@pytest.mark.parametrize("url", ["mimir.acme.internal", "ftp://mimir", "https://", "file:///etc/passwd", "http:// x"])
def test_prometheus_is_reached_by_http(tmp_path: Path, url: str) -> None:
    assert "is not an address" in refusal(tmp_path, swapped("https://mimir.acme.internal/prometheus", url)).message


# References, paths, templates


@pytest.mark.parametrize("value", ["redis-auth", "database/", "/redis-auth", "a/b/c", "Database/redis", "database/../x"])
def test_a_redis_secret_without_its_namespace_is_refused_instead_of_meaning_no_password(tmp_path: Path, value: str) -> None:
    text = swapped("port: 6379}\n", f"port: 6379}}\n        auth: {{secret: {value}}}\n")
    assert "auth.secret" in refusal(tmp_path, text).message


@pytest.mark.parametrize("value", ["../catalogs", "/etc", "a/../../b", "a\\\\b", "-x", ""])
@pytest.mark.parametrize("key", ["layout: {catalogs", "layout: {clusters"])
def test_a_path_leaves_the_repository_never(tmp_path: Path, key: str, value: str) -> None:
    assert "repository.layout" in refusal(tmp_path, repository_with(f'{key}: "{value}"}}')).message


@pytest.mark.parametrize(
    "layout",
    [
        "clusters/{env}",
        "clusters/{color}/{colour}",
        "{{colour}}",
        "clusters/{}/{colour}",
        "clusters/{0}/{colour}",
        "{colour!r}",
        "{colour:>99999999}",
        "{colour.x}",
        "{colour",
        "colour}",
    ],
)
def test_a_layout_that_cannot_be_filled_in_for_each_colour_is_refused(tmp_path: Path, layout: str) -> None:
    assert "repository.layout.clusters" in refusal(tmp_path, repository_with(f'layout: {{clusters: "{layout}"}}')).message


def test_another_layout_is_taken(tmp_path: Path) -> None:
    assert read(tmp_path, repository_with('layout: {clusters: "fleet/{env}-{region}-{colour}"}')).repository.layout.clusters == "fleet/{env}-{region}-{colour}"


def test_a_layout_that_gives_two_clusters_one_directory_is_refused(tmp_path: Path) -> None:
    second = SMALL[SMALL.index("  prod/us-east-1:") :].replace("us-east-1", "eu-west-1")
    assert read(tmp_path, SMALL + second).groups.keys() == {"prod/us-east-1", "prod/eu-west-1"}
    error = refusal(tmp_path, repository_with('layout: {clusters: "clusters/{colour}"}') + second)
    assert "two clusters one directory: clusters/blue, clusters/green is there more than once" in error.message


@pytest.mark.parametrize("value", ["linkerd", "{color}-x", "{colour", "{}", "cluster-{env}-{colour}"])
def test_a_links_name_needs_its_colour_and_no_other_field(tmp_path: Path, value: str) -> None:
    assert "mesh.link_name" in refusal(tmp_path, group_with(f'mesh: {{link_name: "{value}"}}')).message


@pytest.mark.parametrize("value", ["../x", "a b", "-x", "main:other", "a..b", "a//b", "/a", "a/", "a.lock", "refs/.hidden", "x@{1}", "", "a~1", "a^"])
def test_a_branch_is_a_name_git_would_take_and_no_refspec(tmp_path: Path, value: str) -> None:
    assert "is not a branch's name" in refusal(tmp_path, repository_with(f'branch: "{value}"')).message


@pytest.mark.parametrize("value", ["main", "release/2026.11", "env-prod", "a_b+c"])
def test_usual_branches_are_taken(tmp_path: Path, value: str) -> None:
    assert read(tmp_path, repository_with(f"branch: {value}")).repository.branch == value


def test_a_ticket_pattern_must_be_one(tmp_path: Path) -> None:
    assert "is not a regular expression" in refusal(tmp_path, repository_with('require: {ticket: "CHG[0-9"}')).message
    assert read(tmp_path, repository_with('require: {ticket: "^CHG[0-9]{7}$"}')).repository.require.ticket == "^CHG[0-9]{7}$"


# Numbers


@pytest.mark.parametrize(
    ("written", "seconds"), [("45m", 2700), ("1800ms", 1.8), ("24h", 86400), ("60s", 60), ("1.5s", 1.5), ("2d", 172800), ("90", 90), ("0.5", 0.5)]
)
def test_a_duration_has_a_unit_or_is_in_seconds(tmp_path: Path, written: str, seconds: float) -> None:
    assert group_of(tmp_path, group_with(f"canary: {{window: {written}}}")).canary.window == pytest.approx(seconds)


@pytest.mark.parametrize("written", ["10 minutes", "10min", "-5m", "-5", "0", "0s", ".inf", ".nan", "true", '"10"', "[10]", "1h30m", "'10m '", "10M", "1e3s"])
def test_what_is_no_duration_is_refused(tmp_path: Path, written: str) -> None:
    assert "canary.window" in refusal(tmp_path, group_with(f"canary: {{window: {written}}}")).message


@pytest.mark.parametrize(("written", "value"), [("99.9%", 0.999), ("99.9 %", 0.999), ("0.999", 0.999), ("1", 1), ("0%", 0)])
def test_a_share_is_a_fraction_or_a_percentage(tmp_path: Path, written: str, value: float) -> None:
    success = group_of(tmp_path, group_with(f"canary: {{success: {{min: {written}}}}}")).canary.success
    assert success is not None
    assert success.min == pytest.approx(value)


@pytest.mark.parametrize("written", ["99.9", "101%", "-1%", "-0.1", "half", "true", ".nan", ".inf", "[]"])
def test_what_is_no_share_is_refused(tmp_path: Path, written: str) -> None:
    # 99.9 without its sign would let no gate ever open; -0.1 would open every one.
    assert "canary.success.min" in refusal(tmp_path, group_with(f"canary: {{success: {{min: {written}}}}}")).message


@pytest.mark.parametrize("written", ["[]", "[20, 10]", "[10, 10]", "[0, 10]", "[10, 100]", "[10, 20.5]", "['10']", "[true]", "10", "[-5]"])
def test_canary_weights_rise_and_leave_the_last_step_to_the_promotion(tmp_path: Path, written: str) -> None:
    assert "canary.weights" in refusal(tmp_path, group_with(f"canary: {{weights: {written}}}")).message


@pytest.mark.parametrize("written", ["0", "65536", "-1", '"6379"', "6379.5", "true", "http"])
def test_a_port_is_a_number_from_1_to_65535(tmp_path: Path, written: str) -> None:
    assert ".port: " in refusal(tmp_path, swapped("port: 6379", f"port: {written}")).message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (swapped("name: ledger", "name: 5"), "text was expected"),
        (swapped("name: ledger", "name: [a]"), "text was expected"),
        (swapped("name: ledger", "name:"), "text was expected"),
        (group_with("redis_: 1").replace("redis_", "apps2"), "unknown key"),
        (swapped("repository:\n  remote: git@github.com:acme/fleet.git", "repository: [1]"), "repository: a mapping was expected"),
        (group_with("active_only: {kind: CronJob}"), "active_only: a list was expected"),
        (group_with("active_only: [text]"), "active_only[0]: a mapping was expected"),
        (group_with("both: [{kind: DaemonSet, namespace: a, name: b}]"), "'CronJob', 'Deployment' or 'StatefulSet' was expected"),
        (swapped("port: 6379}\n", "port: 6379}\n        auth: {secret: database/redis, same_on_both: yes}\n"), "true or false was expected"),
        (swapped("port: 6379}\n", "port: 6379}\n        auth: {secret: database/redis, same_on_both: 1}\n"), "true or false was expected"),
        (repository_with("signing: {notes: yes}"), "'auto', 'always' or 'never' was expected"),
        (group_with("mesh: {gateway: {port: 4143}}"), "text was expected (in quotes"),
        (group_with("mesh: {gateway: {min_replicas: 0}}"), "must be at least 1"),
        (group_with("drain: {residual: {rps: -1}}"), "must be at least 0"),
        (group_with("drain: {residual: {rps: many}}"), "a number was expected"),
        (group_with("dns: {records: []}"), "dns.records: must not be empty"),
        (group_with("dns: {records: [a.example], verify: []}"), "dns.verify: must not be empty"),
        (group_with("dns: {records: [a.example], kind: route53}"), "'externaldns' was expected"),
        (root_with("version: 2").replace("version: 1\n", "", 1), "version: 1 was expected"),
        (swapped("version: 1", 'version: "1"'), "version: 1 was expected"),
        (root_with("1: x"), "must be text"),
    ],
)
def test_a_wrong_type_is_refused_in_words_that_say_the_right_one(tmp_path: Path, text: str, words: str) -> None:
    error = refusal(tmp_path, text)
    assert words in error.message
    assert "Input should" not in error.message


# The policy's numbers


def test_policy_numbers_are_overridden_in_the_unit_of_their_name(tmp_path: Path) -> None:
    numbers = read(
        tmp_path,
        root_with(
            "policy_overrides: {provisioning_timeout_s: 45m, pause_budget_ms: 2s, pause_ms: 250, min_success: 99%, max_lag_bytes: 2048, residual_rps: 0}"
        ),
    ).policy_overrides
    assert numbers == {
        "provisioning_timeout_s": 2700,
        "pause_budget_ms": 2000,
        "pause_ms": 250,
        "min_success": pytest.approx(0.99),
        "max_lag_bytes": 2048,
        "residual_rps": 0,
    }


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("{lag_soak: 5s}", "did you mean 'lag_soak_s'?"),
        ("{name: lab}", "unknown key policy_overrides.name"),
        ("{canary_weights: [10]}", "unknown key policy_overrides.canary_weights"),
        ("{max_restarts: 2.5}", "a whole number was expected"),
        ("{max_restarts: 0}", "must be at least 1"),
        ("{poll_s: 0}", "must be more than 0"),
        ("{poll_s: -1}", "must be more than 0"),
        ("{min_success: 99.9}", "must lie between 0 and 1"),
        ("{pause_ms: soon}", "is not a duration"),
        ("{max_lag_bytes: 1KB}", "a whole number was expected"),
        ("[1]", "a mapping was expected"),
    ],
)
def test_a_policy_number_that_is_none_or_cannot_be_meant_is_refused_with_its_line(tmp_path: Path, written: str, words: str) -> None:
    error = refusal(tmp_path, root_with(f"policy_overrides: {written}"))
    assert words in error.message
    assert error.line == 2


# What belongs together


@pytest.mark.parametrize("place", ["apps", "redis"])
def test_a_name_is_given_once(tmp_path: Path, place: str) -> None:
    item = {
        "apps": "      - name: payment-service\n        route: {namespace: payments, name: payment-split}\n",
        "redis": "      - name: ledger\n        service: {namespace: database, name: redis-master, port: 6379}\n",
    }[place]
    assert "is there more than once" in refusal(tmp_path, swapped(item, item + item)).message


def test_a_workload_cannot_be_active_only_and_both(tmp_path: Path) -> None:
    one = "{kind: CronJob, namespace: payments, name: settlement}"
    error = refusal(tmp_path, group_with(f"active_only: [{one}]\nboth: [{one}]"))
    assert "CronJob payments/settlement is declared active_only, too" in error.message


def test_several_apps_keep_their_order(tmp_path: Path) -> None:
    more = "      - name: checkout-api\n        route: {namespace: checkout, name: checkout-split}\n"
    apps = group_of(tmp_path, swapped("    metrics:\n", more + "    metrics:\n")).apps
    assert [(app.name, app.route.namespace) for app in apps] == [("payment-service", "payments"), ("checkout-api", "checkout")]


def test_a_group_may_keep_its_state_elsewhere(tmp_path: Path) -> None:
    text = SMALL[: SMALL.index("    redis:")] + "    redis: []\n" + SMALL[SMALL.index("    apps:") :]
    assert group_of(tmp_path, text).redis == ()
    assert read(tmp_path, text).group(GROUP).apps[0].name == "payment-service"


def test_who_else_must_say_what_is_checked_with_a_suggestion(tmp_path: Path) -> None:
    assert read(tmp_path, repository_with("require: {second_person: [promote, drain]}")).repository.require.second_person == ("promote", "drain")
    message = refusal(tmp_path, repository_with("require: {second_person: [promot]}")).message
    assert "repository.require.second_person[0]: 'promote' or 'drain' was expected; did you mean 'promote'?" in message
    assert "did you mean 'second_person'?" in refusal(tmp_path, repository_with("require: {second_persons: [drain]}")).message
    assert refusal(tmp_path, repository_with("require: {second_person: [zzz]}")).message.endswith("'promote' or 'drain' was expected")
