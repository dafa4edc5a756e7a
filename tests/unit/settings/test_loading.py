"""Reading bennu.yaml: every problem with its file and line, nothing half understood, and environment over file."""

from __future__ import annotations

from pathlib import Path

import pytest

from bennu.core.clusters import Colour, Group
from bennu.errors import ConfigError, UsageError
from bennu.settings import load
from tests.unit.settings.files import GROUP, SMALL, group_with, read, refusal, repository_with, root_with, swapped


def test_a_small_file_is_enough_and_the_rest_has_defaults(tmp_path: Path) -> None:
    settings = read(tmp_path, SMALL)
    group = settings.group(GROUP)
    assert settings.policy == "spec"
    assert settings.repository.branch == "main"
    assert settings.repository.layout.clusters == "clusters/{env}/{region}/cluster-{colour}"
    assert group.mesh.link_name == "cluster-{colour}"
    assert group.flux.namespace == "flux-system"
    assert group.redis[0].reach == "port-forward"
    assert group.canary.weights is None, "the policy's own are used"
    assert settings.colours(GROUP) == (Colour.BLUE, Colour.GREEN)


def test_an_app_without_a_service_has_one_of_its_own_name_in_its_routes_namespace(tmp_path: Path) -> None:
    service = read(tmp_path, SMALL).group(GROUP).apps[0].service
    assert (service.namespace, service.name, service.port) == ("payments", "payment-service", 80)


def test_settings_do_not_change_once_they_are_read(tmp_path: Path) -> None:
    settings = read(tmp_path, SMALL)
    with pytest.raises(ValueError, match="frozen"):
        settings.policy = "lab"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (root_with("polcy: lab"), 2, "unknown key polcy; did you mean 'policy'?"),
        (repository_with("brnch: main"), 4, "unknown key repository.brnch; did you mean 'branch'?"),
        (group_with("redsi: []"), 20, "unknown key groups.prod/us-east-1.redsi; did you mean 'redis'?"),
        (group_with("canary:\n  wieghts: [10]"), 21, "unknown key groups.prod/us-east-1.canary.wieghts; did you mean 'weights'?"),
        (
            swapped("      - name: ledger\n", "      - name: ledger\n        topolgy: sentinel\n"),
            14,
            "unknown key groups.prod/us-east-1.redis[0].topolgy; did you mean 'topology'?",
        ),
        (swapped("blue: {context: acme-blue}", "blue: {contxt: acme-blue}"), 7, "did you mean 'context'?"),
        (swapped("payment-split}", "payment-split}\n        sevice: {}"), 18, "did you mean 'service'?"),
        (root_with("policy_overrides: {lag_soak: 5s}"), 2, "unknown key policy_overrides.lag_soak; did you mean 'lag_soak_s'?"),
        (root_with("zzzzzz: 1"), 2, "unknown key zzzzzz"),
    ],
)
def test_an_unknown_key_is_refused_with_its_line_and_the_key_that_was_meant(tmp_path: Path, text: str, line: int, words: str) -> None:
    error = refusal(tmp_path, text)
    assert error.line == line
    assert words in error.message


def test_a_key_that_resembles_none_is_refused_without_a_guess(tmp_path: Path) -> None:
    assert "did you mean" not in refusal(tmp_path, root_with("zzzzzz: 1")).message


def test_an_internal_name_is_no_key_of_the_file(tmp_path: Path) -> None:
    # `from` is a word of Python's: the schema's own name for it must not be a second spelling.
    error = refusal(tmp_path, group_with("mesh:\n  peer_api_reachable: {from_: both}"))
    assert "unknown key" in error.message
    assert "did you mean 'from'?" in error.message


def test_every_problem_is_told_at_once_each_with_its_line_in_order(tmp_path: Path) -> None:
    text = swapped("version: 1", "version: 2").replace("port: 6379", "port: 99999") + "    canary: {wight: 1}\n"
    error = refusal(tmp_path, text)
    first, *rest = error.message.splitlines()
    assert first.endswith("bennu.yaml:1: version: 1 was expected")
    assert [line.split("bennu.yaml:")[1].split(":")[0] for line in rest] == ["14", "20"]
    assert "must be at most 65535" in rest[0]
    assert "'bennu config schema'" in error.next_step


def test_a_problem_in_an_absent_place_is_told_at_the_nearest_line_that_is_there(tmp_path: Path) -> None:
    error = refusal(tmp_path, swapped("  remote: git@github.com:acme/fleet.git\n", "  branch: main\n"))
    assert error.message.endswith(":2: repository.remote is missing")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("version: 1\nversion: 1\n", 2, "duplicate key 'version'"),
        (group_with("canary: {window: 10m, window: 5m}"), 20, "duplicate key 'window'"),
        ("version: 1\n\tpolicy: lab\n", 2, "not valid YAML"),
        ("version: 1\nrepository:\n\tremote: x\n", 3, "not valid YAML"),
        ("version: [1\n", 2, "not valid YAML"),
        ("a: 'b\n", 2, "not valid YAML"),
        ("version: 1\n  policy: lab\n", 2, "not valid YAML"),
        ("a: *nowhere\n", 1, "undefined alias 'nowhere'"),
        ("a: &x [1, *x]\n", 1, "*x contains itself"),
        ("a: !vault secret\n", 1, "'!vault'"),
        ("a: !!python/object/apply:os.system [echo]\n", 1, "could not determine a constructor"),
        ("a: \x00\n", 1, "NUL byte"),
        ("a: {{ .Values.x }}\n", 1, "not valid YAML"),
        ("[" * 2000, 1, "nested more than"),
    ],
)
def test_malformed_yaml_is_refused_with_file_and_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    error = refusal(tmp_path, text)
    assert error.line == line
    assert words in error.message


def test_a_bomb_of_aliases_is_refused_before_it_is_built(tmp_path: Path) -> None:
    levels = "".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(30))
    assert "with its aliases written out" in refusal(tmp_path, "a0: &a0 x\n" + levels).message


def test_a_file_beyond_the_size_cap_is_refused(tmp_path: Path) -> None:
    assert "larger than" in refusal(tmp_path, SMALL + "# " + "x" * 1_000_000).message


def test_neither_value_of_a_duplicate_key_is_repeated(tmp_path: Path) -> None:
    error = refusal(tmp_path, "a: hunter2\na: hunter3\n")
    assert "hunter" not in error.message


@pytest.mark.parametrize("text", ["", "# nothing\n", "- version: 1\n", "version\n", "---\nversion: 1\n---\nversion: 1\n"])
def test_what_is_not_one_mapping_is_refused(tmp_path: Path, text: str) -> None:
    assert "one YAML mapping was expected" in refusal(tmp_path, text).message


def test_a_file_that_is_not_there_or_not_text_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "bennu.yaml", environ={}, flags={})
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path, environ={}, flags={})
    (tmp_path / "bennu.yaml").write_bytes(b"version: \xff\n")
    with pytest.raises(ConfigError, match="is no text in UTF-8") as refused:
        load(tmp_path / "bennu.yaml", environ={}, flags={})
    assert refused.value.line == 1


@pytest.mark.parametrize("text", ["\ufeff" + SMALL, SMALL.replace("\n", "\r\n"), SMALL.rstrip("\n"), "# head\n---\n" + SMALL + "...\n"])
def test_a_byte_order_mark_and_any_line_ends_are_read(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text).repository.remote == "git@github.com:acme/fleet.git"


def test_anchors_and_merge_keys_are_understood(tmp_path: Path) -> None:
    text = group_with("active_only:\n  - &job {kind: CronJob, namespace: payments, name: settlement, stop_within: 10m}\n  - {<<: *job, name: reports}")
    jobs = read(tmp_path, text).group(GROUP).active_only
    assert [(job.name, job.stop_within) for job in jobs] == [("settlement", 600), ("reports", 600)]


# The environment


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("BENNU_POLICY", "lab", "lab"),
        ("BENNU_REMOTE", "https://git.acme.internal/fleet.git", "https://git.acme.internal/fleet.git"),
        ("BENNU_BRANCH", "rehearsal", "rehearsal"),
    ],
)
def test_the_environment_overrides_the_file(tmp_path: Path, name: str, value: str, told: str) -> None:
    settings = read(tmp_path, repository_with("branch: main"), environ={name: value})
    assert {"BENNU_POLICY": settings.policy, "BENNU_REMOTE": settings.repository.remote, "BENNU_BRANCH": settings.repository.branch}[name] == told


def test_a_flag_overrides_the_environment(tmp_path: Path) -> None:
    assert read(tmp_path, SMALL, environ={"BENNU_BRANCH": "one"}, flags={"BENNU_BRANCH": "two"}).repository.branch == "two"


def test_an_empty_variable_overrides_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, SMALL, environ={"BENNU_BRANCH": "", "BENNU_POLICY": ""}).repository.branch == "main"


def test_the_environment_can_give_what_the_file_leaves_out(tmp_path: Path) -> None:
    text = swapped("repository:\n  remote: git@github.com:acme/fleet.git\n", "")
    assert read(tmp_path, text, environ={"BENNU_REMOTE": "ssh://git@host/fleet"}).repository.remote == "ssh://git@host/fleet"


def test_other_variables_are_not_settings(tmp_path: Path) -> None:
    assert read(tmp_path, SMALL, environ={"BENNU_VERSION": "7", "POLICY": "lab"}) == read(tmp_path, SMALL)


@pytest.mark.parametrize(("name", "value"), [("BENNU_POLICY", "fast"), ("BENNU_REMOTE", "ext::sh -c reboot"), ("BENNU_BRANCH", "--upload-pack=x")])
def test_a_bad_value_of_the_environment_is_refused_and_the_variable_named(tmp_path: Path, name: str, value: str) -> None:
    assert f"(from {name})" in refusal(tmp_path, SMALL, environ={name: value}).message


def test_a_bad_value_of_the_file_does_not_blame_the_environment(tmp_path: Path) -> None:
    assert "from BENNU" not in refusal(tmp_path, root_with("policy: fast"), environ={"BENNU_BRANCH": "main"}).message


@pytest.mark.parametrize("value", ["repository: 5", "repository:", "repository: []", "repository: text"])
def test_an_override_below_something_that_is_no_mapping_leaves_the_files_own_error(tmp_path: Path, value: str) -> None:
    text = swapped("repository:\n  remote: git@github.com:acme/fleet.git", value)
    assert "repository: a mapping was expected" in refusal(tmp_path, text, environ={"BENNU_BRANCH": "x"}).message


# Asking for a group


def test_a_group_that_is_not_there_is_refused_with_the_one_that_was_meant(tmp_path: Path) -> None:
    settings = read(tmp_path, SMALL)
    with pytest.raises(UsageError) as refused:
        settings.group(Group("prod", "us-east-2"))
    assert refused.value.next_step == "did you mean prod/us-east-1? groups: prod/us-east-1"


def test_a_group_that_resembles_none_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        read(tmp_path, SMALL).group(Group("dev", "z"))
    assert refused.value.next_step == "groups: prod/us-east-1"
