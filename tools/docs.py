"""What the docs say exists, and what exists is in the docs: commands, options, settings, targets, links, dependencies.

`--write` makes docs/commands.md anew from the commands themselves; the check holds it current.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import enum
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

from typer.main import get_command

from tallystick.app.agent_settings import PREFIX, AgentSettings
from tallystick.app.cli.main import app
from tallystick.app.settings import Settings
from tools.tidy import GENERATED
from tools.tree import ROOT, tracked

COMMANDS_PAGE = "docs/commands.md"
SETTINGS_PAGE = "docs/settings.md"
DEPENDENCIES_PAGE = "docs/dependencies.md"

OWN_VARIABLES = {"TALLY_URL", "TALLY_KEY", "TALLY_KEY_FILE", "TALLY_CONFIG", "TALLY_AGENT_FILE", "RUN_SECONDS"}
"""What the environment says beside the settings: to the command line, and where the settings are."""

Problem = tuple[str, str]
"""The name of the rule and what is wrong."""


def pages(root: Path) -> Iterator[tuple[str, str]]:
    """Every page for people: its path and its text."""
    for path in tracked(root):
        if path.endswith(".md") and (path.startswith("docs/") or "/" not in path):
            yield path, (root / path).read_text(encoding="utf-8")


def code(text: str) -> Iterator[str]:
    """The lines of fenced blocks, and what stands between backticks."""
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    for block in blocks:
        yield from re.sub(r"\\\n\s*", " ", block).splitlines()
    rest = re.sub(r"^```[^\n]*\n.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    yield from (found.replace("\n", " ") for found in re.findall(r"`([^`]+)`", rest))


def every_command(command: Any, name: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - typer's own class is private
    """A command and those below it, by their full names."""
    yield name, command
    for below, child in sorted(getattr(command, "commands", {}).items()):
        yield from every_command(child, f"{name} {below}")


def tally() -> dict[str, Any]:
    """Every command of `tally` by its full name."""
    return dict(every_command(get_command(app), "tally"))


def commands_exist(root: Path) -> Iterator[Problem]:
    """A command or option that a page names is one."""
    known = tally()
    for path, text in pages(root):
        for line in code(text):
            for called in re.findall(r"(?:^|[\s|(;&]|bin/)(tally(?: [^`|;&#<>()\n]*)?)", line):
                for wrong in not_a_command(called, known):
                    yield "commands_exist", f"{path}: `{called.strip()}`: {wrong}"


def not_a_command(called: str, known: dict[str, Any]) -> Iterator[str]:
    """What of a command line does not exist: the command, or an option."""
    words = called.split()
    name = words.pop(0)
    while words and f"{name} {words[0]}" in known:
        name = f"{name} {words.pop(0)}"
    command = known[name]
    if getattr(command, "commands", None) and words and re.fullmatch(r"[a-z][a-z-]*", words[0]):
        yield f"no command {name} {words[0]}"
        return
    options = {option for each in command.params for option in each.opts} | {"--help", "-h"}
    for word in words:
        option = word.split("=")[0].strip("[],.")
        if option.startswith("--") and option != "--" and option not in options:
            yield f"{name} has no option {option}"


def commands_described(root: Path) -> Iterator[Problem]:
    """The page of commands is what the commands say of themselves."""
    page = root / COMMANDS_PAGE
    if not page.exists() or page.read_text(encoding="utf-8") != commands_page():
        yield "commands_described", f"{COMMANDS_PAGE} is not what `python -m tools.docs --write` writes"


def commands_have_examples(_: Path) -> Iterator[Problem]:
    """Every command shows an example and has `--json`."""
    for name, command in tally().items():
        if getattr(command, "commands", None):
            continue
        if "Example:" not in (command.help or ""):
            yield "commands_have_examples", f"{name} --help shows no example"
        if "--json" not in {option for each in command.params for option in each.opts}:
            yield "commands_have_examples", f"{name} has no --json"


def commands_page() -> str:
    """The text of the page of commands, from the commands themselves."""
    parts = [
        "# Commands\n\nWritten by `python -m tools.docs --write` from the commands themselves: change those.\n\n"
        "Commands that ask a server ask the one at `TALLY_URL` (http://127.0.0.1:8080), with the key in `TALLY_KEY`, or in the\n"
        "file that `TALLY_KEY_FILE` names, or in `admin.key` of the state directory. They end with 0 if all is well, 1 if the\n"
        "server refused or a check failed, 2 if they were called wrongly, 3 if no server answers. With `--json` what they print\n"
        "is one JSON document, and an error is one on stderr.\n"
    ]
    for name, command in tally().items():
        if name == "tally" or (getattr(command, "commands", None) and name != "tally agent"):
            continue
        sentence, _, example = (command.help or "").replace("\b\n", "").partition("Example:")
        rows = [f"\n## `{name}`\n\n{' '.join(sentence.split())}\n"]
        if example.strip():
            rows.append(f"\n```\n{example.strip()}\n```\n")
        options = [each for each in command.params if "--help" not in each.opts]
        if options:
            rows.append("\n| | |\n|---|---|\n")
            rows.extend(f"| `{' '.join(named(each))}` | {described(each)} |\n" for each in options)
        parts.extend(rows)
    return "".join(parts)


def named(parameter: Any) -> Iterator[str]:  # noqa: ANN401 - as above
    """An argument as `RESOURCE`, an option as `--depth`."""
    if parameter.param_type_name == "argument":
        yield parameter.metavar or parameter.name.upper()
    else:
        yield " ".join(parameter.opts)


def described(parameter: Any) -> str:  # noqa: ANN401 - as above
    """The help of an argument or option, with the values that are allowed and the default."""
    help_text = (getattr(parameter, "help", None) or "").strip()
    kind = parameter.type_descriptor.annotation
    more = [f"one of {', '.join(each.value for each in kind)}"] if isinstance(kind, type) and issubclass(kind, enum.Enum) else []
    default = getattr(parameter, "default", None)
    default = getattr(default, "value", default)
    if default not in (None, "", False, ()) and not callable(default):
        more.append(f"default {default}")
    return (help_text + (f" ({'; '.join(more)})" if more else "")).strip() or "Its id."


def settings() -> dict[str, str]:
    """Every setting by its name in the environment, with where it is read: server or agent."""
    found = {f"TALLY_{name.upper()}": "server" for name in Settings.model_fields}
    return found | {f"{PREFIX}{field.name.upper()}": "agent" for field in dataclasses.fields(AgentSettings)}


def settings_exist(root: Path) -> Iterator[Problem]:
    """A setting that a page names is one."""
    known = set(settings()) | OWN_VARIABLES
    for path, text in pages(root):
        for found in re.findall(r"\bTALLY_[A-Z][A-Z_]*[A-Z]\b(?![_*])", text):
            if found not in known:
                yield "settings_exist", f"{path}: {found} is no setting"


def settings_described(root: Path) -> Iterator[Problem]:
    """Every setting is on the page of settings."""
    page = root / SETTINGS_PAGE
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    for name in sorted({*settings(), *OWN_VARIABLES}):
        if not re.search(rf"`{name}`", text):
            yield "settings_described", f"{SETTINGS_PAGE} does not name `{name}`"


def targets(root: Path) -> set[str]:
    """The targets of the Makefile that `make help` lists."""
    return set(re.findall(r"^([a-z][a-z-]*):.*## ", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def targets_exist(root: Path) -> Iterator[Problem]:
    """A target of `make` that a page names is one."""
    known = targets(root)
    for path, text in pages(root):
        for line in code(text):
            for found in re.findall(r"(?:^|[\s;&(])make(?: -s)? ([a-z][a-z-]*)\b", line):
                if found not in known:
                    yield "targets_exist", f"{path}: `make {found}` does not exist"


def links_lead_somewhere(root: Path) -> Iterator[Problem]:
    """A link to a file of the repository leads to one."""
    for path, text in pages(root):
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
            if "://" not in target and not target.startswith("mailto:") and not ((root / path).parent / target).exists():
                yield "links_lead_somewhere", f"{path}: there is no {target}"


def dependencies(root: Path) -> set[str]:
    """The names of everything that pyproject.toml asks for."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return named_in([*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)])


def named_in(requirements: list[str]) -> set[str]:
    """The names in a list of requirements, as package indexes compare them."""
    return {re.sub(r"[-_.]+", "-", re.split(r"[\s\[<>=;~!]", each)[0]).lower() for each in requirements}


def dependencies_reasoned(root: Path) -> Iterator[Problem]:
    """Every dependency has its reason on the page of dependencies, and no reason is left of one that is gone."""
    page = root / DEPENDENCIES_PAGE
    rows = re.findall(r"^\| `([^`]+)` \| (.*?) \|$", page.read_text(encoding="utf-8") if page.exists() else "", re.MULTILINE)
    reasons = {name: reason for row, reason in rows for name in named_in([row])}
    asked = dependencies(root)
    for name in sorted(asked - {name for name, reason in reasons.items() if reason.strip()}):
        yield "dependencies_reasoned", f"{DEPENDENCIES_PAGE} has no reason for `{name}`"
    for name in sorted(set(reasons) - asked):
        yield "dependencies_reasoned", f"{DEPENDENCIES_PAGE} has `{name}`, which pyproject.toml does not ask for"


def dependencies_declared(root: Path) -> Iterator[Problem]:
    """What a source imports is a dependency of its own, not only somebody else's."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    product = named_in(project["dependencies"]) | named_in([*extras["server"], *extras["tracing"], *extras["parquet"]])
    allowed = {"src/": product, "tests/": product | named_in(extras["test"]) | named_in(extras["test-postgresql"])}
    everything = {each for names in (product, *map(named_in, extras.values())) for each in names}
    providers = packages_distributions()
    for path in tracked(root):
        if not path.endswith(".py") or path.startswith(GENERATED):
            continue
        known = next((names for folder, names in allowed.items() if path.startswith(folder)), everything)
        for package in imported((root / path).read_text(encoding="utf-8")):
            if not named_in(providers.get(package, [])) & known:
                yield "dependencies_declared", f"{path} imports {package}, which pyproject.toml does not ask for"


def imported(text: str) -> set[str]:
    """The top-level packages that a module imports, the standard library and this repository left out."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return set()  # tools/tidy.py names it
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 0}
    ours = {"tallystick", "tests", "tools", "bench", ""}
    return {name.partition(".")[0] for name in names} - ours - set(sys.stdlib_module_names)


RULES = (
    commands_exist,
    commands_described,
    commands_have_examples,
    settings_exist,
    settings_described,
    targets_exist,
    links_lead_somewhere,
    dependencies_reasoned,
    dependencies_declared,
)


def main() -> int:
    """Print what is wrong, by rule; 1 if something is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {COMMANDS_PAGE}")
    options = parser.parse_args()
    if options.write:
        (ROOT / COMMANDS_PAGE).write_text(commands_page(), encoding="utf-8")
    problems = [problem for rule in RULES for problem in rule(ROOT)]
    for rule, problem in problems:
        print(f"{rule}: {problem}")
    print(f"docs: {len(RULES)} rules, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
