"""What holds for every test: what is refused to pure ones, and what is said about those that need recorded samples from outside."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.internal.conjecture import engine

SHARED = Path(__file__).resolve().parents[2] / "shared"
"""Sample generator and oracles beside the repository. Tests marked `shared` run when it is there, and are counted when it is not."""

# No database of examples: pure tests may not write, and a failure would be hidden behind that.
# Of a failure the first world is enough, smaller within half a minute: a large one shrinks for five, and explaining it takes as long again.
settings.register_profile(
    "tallystick",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
    database=None,
    report_multiple_bugs=False,
    phases=[Phase.explicit, Phase.generate, Phase.target, Phase.shrink],
)
engine.MAX_SHRINKING_SECONDS = 30
settings.load_profile("tallystick")

FILES_ALLOWED = ("tests/unit/collect", "tests/unit/spool", "tests/unit/app", "tests/unit/tools")
"""Pure tests of what reads and writes files: these may, in their temporary folder."""


def pytest_configure(config: pytest.Config) -> None:
    """Name the markers."""
    config.addinivalue_line("markers", "shared: needs the folder ../shared; left out, and counted, where there is none")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs ../shared where there is none."""
    if SHARED.is_dir():
        return
    left_out = [item for item in items if item.get_closest_marker("shared")]
    if left_out:
        items[:] = [item for item in items if not item.get_closest_marker("shared")]
        config.hook.pytest_deselected(items=left_out)
    config.stash[LEFT_OUT] = len(left_out)
    if hasattr(config, "workeroutput"):
        config.workeroutput["left_out"] = len(left_out)


LEFT_OUT = pytest.StashKey[int]()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object | None) -> None:
    """Every process of a parallel run sees the same tests: what one left out, all did."""
    node.config.stash[LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", 0)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """One line for what did not run."""
    left_out = config.stash.get(LEFT_OUT, 0)
    if left_out:
        terminalreporter.write_line(f"{left_out} tests need ../shared, which is not here: they did not run")


class Watch:
    """Refuses network, processes and databases while a pure test runs, and files to those that are not about files."""

    def __init__(self) -> None:
        self.on = False
        self.files = True

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An event of the interpreter: `sys.addaudithook`."""
        if not self.on:
            return
        if event in {"socket.connect", "socket.bind", "subprocess.Popen", "os.fork", "os.system", "sqlite3.connect"}:
            raise AssertionError(f"a pure test asked for {event}{arguments!r}: it belongs to tests/integration or tests/contract")
        if event == "open" and not self.files and self.writes(arguments):
            raise AssertionError(f"a pure test writes {arguments[0]!r}: it belongs to tests/integration")

    @staticmethod
    def writes(arguments: tuple[Any, ...]) -> bool:
        """Whether an `open` is for writing; bytecode caches and the store of failing examples are not the test's."""
        path, mode, flags = (*arguments, None, None, None)[:3]
        if "__pycache__" in str(path) or ".hypothesis" in str(path) or str(path) == os.devnull:
            return False
        return bool(set(str(mode or "")) & set("wax+")) if mode else bool((flags or 0) & (os.O_WRONLY | os.O_RDWR))


WATCH = Watch()
sys.addaudithook(WATCH)


@pytest.fixture(autouse=True)
def pure(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests in tests/unit and tests/laws touch nothing but their arguments."""
    path = request.path.relative_to(Path(__file__).parents[1]).as_posix()
    WATCH.files = path.startswith(FILES_ALLOWED)
    WATCH.on = path.startswith(("tests/unit/", "tests/laws/"))
    yield
    WATCH.on = False
