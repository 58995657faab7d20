"""The command line: it answers at once, explains itself, and says what is wrong with field and value."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from tallystick.app.cli.main import app

SECONDS_OF_HELP = 0.4


def every_command(command: Any, words: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    found = {words: command}
    for name, child in getattr(command, "commands", {}).items():
        found |= every_command(child, (*words, name))
    return found


COMMANDS = every_command(get_command(app))
LEAVES = [words for words, command in COMMANDS.items() if not getattr(command, "commands", None)]


def tally(*words: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TALLY_")}
    return subprocess.run(
        [sys.executable, "-m", "tallystick", *words], capture_output=True, text=True, check=False, env={**kept, **(environment or {})}
    )


def test_every_command_of_the_issue_is_there() -> None:
    promised = ["up", "init", "serve", "worker", "agent", "keys", "customer", "resource", "subscription", "price", "usage", "gaps"]
    promised += ["invoice", "estimate", "explain", "check", "doctor", "migrate"]
    assert {(name,) for name in promised} <= set(COMMANDS)
    below = ["agent run", "agent read", "price lint", "price show", "price activate"]
    below += ["invoice list", "invoice show", "invoice preview", "invoice pdf"]
    assert {tuple(words.split()) for words in below} <= set(COMMANDS)


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_help_shows_an_example_and_json(words: tuple[str, ...]) -> None:
    command = COMMANDS[words]
    assert f"tally {' '.join(words)}" in command.help.partition("Example:")[2]
    assert "--json" in {option for each in command.params for option in each.opts}


def test_help_answers_at_once() -> None:
    tally("--help")  # bytecode is there from now on
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = tally("--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert ran.returncode == 0
    assert (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime) < SECONDS_OF_HELP


def test_help_imports_nothing_heavy() -> None:
    heavy = {"numpy", "pydantic", "sqlalchemy", "fastapi", "starlette", "uvicorn", "rich", "typst", "connectrpc"}
    script = f"import sys, tallystick.app.cli.main; print(sorted({heavy!r} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_without_a_server_it_says_where_it_looked() -> None:
    ran = tally("customer", "list", environment={"TALLY_URL": "http://127.0.0.1:9", "TALLY_KEY": "tsk_x"})
    assert ran.returncode == 3
    assert "TALLY_URL = 'http://127.0.0.1:9'" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_an_error_is_json_when_json_is_asked_for() -> None:
    ran = tally("usage", "--json", environment={"TALLY_URL": "http://127.0.0.1:9", "TALLY_KEY": "tsk_x"})
    assert ran.returncode == 3
    assert json.loads(ran.stderr)["field"] == "TALLY_URL"


def test_a_key_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    ran = tally("usage", environment={"TALLY_KEY_FILE": str(tmp_path / "none")})
    assert ran.returncode == 3
    assert "TALLY_KEY_FILE" in ran.stderr
    assert str(tmp_path / "none") in ran.stderr


def test_a_wrong_setting_is_refused_by_name_and_value() -> None:
    ran = tally("serve", environment={"TALLY_LISTEN": "nowhere"})
    assert ran.returncode == 2
    assert "listen" in ran.stderr
    assert "'nowhere'" in ran.stderr


def test_a_wrong_setting_of_the_agent_is_refused_by_name_and_value() -> None:
    ran = tally("agent", "--once", environment={"TALLY_AGENT_BATCH_SIZE": "-1"})
    assert ran.returncode == 2
    assert "TALLY_AGENT_BATCH_SIZE = '-1'" in ran.stderr


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (("resource", "create", "vm", "--memory", "lots"), "'lots'"),
        (("resource", "create", "vm", "--label", "noequals"), "'noequals'"),
        (("resource", "set", "vm"), "nothing is declared"),
        (("gaps", "--missing", "--customer", "acme"), "--resource only"),
        (("conflicts", "resolve", "1", "--counts", "both", "--reason", "x"), "'both'"),
        (("absences", "dismiss", "1"), "--reason"),
        (("too-late", "list", "--state", "kept"), "'kept'"),
        (("price", "lint", "/nowhere.yaml"), "/nowhere.yaml"),
    ],
)
def test_wrong_use_is_named(words: tuple[str, ...], wrong: str) -> None:
    ran = tally(*words, environment={"TALLY_URL": "http://127.0.0.1:9", "TALLY_KEY": "tsk_x"})
    assert ran.returncode == 2
    assert wrong in ran.stderr


def test_a_clean_up_and_what_is_kept(tmp_path: Path) -> None:
    here = {"TALLY_STATE_DIR": str(tmp_path)}
    assert tally("init", environment=here).returncode == 0
    assert json.loads(tally("retention", "run", "--json", environment=here).stdout)["deleted"] == {}
    assert "bytes in the store" in tally("retention", "status", environment=here).stdout
