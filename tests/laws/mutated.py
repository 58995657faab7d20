"""The meter with one line changed, loaded beside the real one: its modules are compiled from changed sources, in memory."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

METER = Path(__file__).resolve().parents[2] / "src" / "tallystick" / "meter"
USERS = ("tests.laws.memory", "tests.laws.compare")
"""The modules of the tests that use the meter, loaded anew with it."""


class _Changed(MetaPathFinder, Loader):
    """Finds one module of the meter, and compiles it from its changed source."""

    def __init__(self, name: str, source: str) -> None:
        self.name, self.source = name, source

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname == self.name else None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self.source, self.name, "exec"), module.__dict__)


@contextmanager
def mutated(module: str, old: str, new: str) -> Iterator[ModuleType]:
    """`tests.laws.compare` over a meter in whose `module` the text `old`, which must stand there once, is `new`."""
    source = (METER / f"{module.replace('.', '/')}.py").read_text()
    assert source.count(old) == 1, f"{module}.py holds {old!r} {source.count(old)} times"
    mine = [name for name in sys.modules if name.startswith("tallystick.meter.") or name in USERS]
    kept = {name: sys.modules.pop(name) for name in mine}
    package = sys.modules["tallystick.meter"]
    attributes = {name: value for name, value in vars(package).items() if isinstance(value, ModuleType)}
    for name in attributes:
        delattr(package, name)
    finder = _Changed(f"tallystick.meter.{module.replace('/', '.')}", source.replace(old, new))
    sys.meta_path.insert(0, finder)
    try:
        yield importlib.import_module("tests.laws.compare")
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name.startswith("tallystick.meter.") or name in USERS]:
            del sys.modules[name]
        sys.modules.update(kept)
        vars(package).update(attributes)
        parent = sys.modules["tests.laws"]
        for name in USERS:
            if name in kept:
                setattr(parent, name.rpartition(".")[2], kept[name])
