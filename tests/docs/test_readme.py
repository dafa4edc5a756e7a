"""README.md against the code: exit codes, refused settings, commands and links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer

from bennu import errors
from bennu.cli.app import app
from bennu.phases.preflight import CHECKS
from bennu.settings import unsupported

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), ROOT / "completions" / "README.md"]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _section(title: str) -> str:
    return re.split(r"\n#{2,3} ", README.split(f"# {title}\n", 1)[1], maxsplit=1)[0]


def _classes(base: type[errors.BennuError]) -> Iterator[type[errors.BennuError]]:
    yield base
    for inner in base.__subclasses__():
        yield from _classes(inner)


def test_the_exit_codes_are_those_of_the_errors() -> None:
    written = {int(code) for row in re.findall(r"^\| ([\d, ]+) \|", _section("Exit codes"), re.MULTILINE) for code in row.split(",")}
    raised = {one.exit_code for one in _classes(errors.BennuError) if one is not errors.Interrupted}
    # 0 is no error, 11 is plan's own, 128 + n is a signal's.
    assert written == raised | {0, 11} | {128 + number for number in (1, 2, 15)}


def test_the_refused_settings_are_those_of_the_code() -> None:
    table = "\n".join(line.split("|")[1] for line in _section("What is refused today").splitlines() if line.startswith("| `"))
    paths = [rule.path for rule in unsupported.RULES] + [rule.path for rule in unsupported.GROUP_RULES]
    assert set(re.findall(r"`([\w.]+)`", table)) == {".".join(part for part in path if isinstance(part, str)) for path in paths}


def test_the_number_of_checks_is_the_doctor_s() -> None:
    assert f"# {len(CHECKS)} checks:" in README


def _commands() -> list[str]:
    """Lines of shell blocks that call bennu, cut at what the shell would do with them."""
    blocks = re.findall(r"```bash\n(.*?)```", "\n".join(page.read_text(encoding="utf-8") for page in PAGES), re.DOTALL)
    calls = (re.search(r"(?:^|&& |\.venv/bin/)(bennu [^#|;>&()]+)", line.strip()) for block in blocks for line in block.splitlines())
    return sorted({call[1].strip() for call in calls if call})


@pytest.mark.parametrize("line", _commands())
def test_a_command_in_the_pages_exists_with_its_options(line: str) -> None:
    command: click.Command = typer.main.get_command(app)
    words = shlex.split(line)[1:]
    while words and isinstance(command, click.Group) and not words[0].startswith("-"):
        assert words[0] in command.commands, line
        command = command.commands[words.pop(0)]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)} | {"-h", "--help"}
    assert {word.split("=")[0] for word in words if word.startswith("-")} <= known, line


def test_the_pages_show_commands_at_all() -> None:
    assert len(_commands()) > 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if not link.startswith(("http://", "https://", "#")):
            assert (page.parent / link.split("#")[0]).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_section_that_is_linked_to_is_there(page: Path) -> None:
    for target, section in re.findall(r"\]\(([^)\s#]*)#([\w-]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("http"):
            continue
        text = (page.parent / target if target else page).read_text(encoding="utf-8")
        headings = {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
        assert section in headings


def test_every_decision_is_in_their_list() -> None:
    listed = set(re.findall(r"\]\((\d{4}-[\w.-]+\.md)\)", (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")))
    assert listed == {path.name for path in (ROOT / "docs" / "decisions").glob("[0-9]*.md")}
