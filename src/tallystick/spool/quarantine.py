"""What could not be read, or was not taken: kept beside the spool with the reason, counted, reported; never deleted by us."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from tallystick.spool.files import sync_directory

log = logging.getLogger(__name__)


class Quarantine:
    """A folder of the spool. `damaged` and `refused` count what was put there since the start."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.damaged = 0
        self.refused = 0

    def keep_damaged(self, name: str, offset: int, content: bytes, torn: bool) -> None:
        """Keep bytes of a spool file that are no record: a torn end after a power cut, or damage in the middle."""
        kept = self._keep(f"damaged-{name}-{offset}", content, {"file": name, "offset": offset, "torn": torn})
        self.damaged += 1
        log.error("spool_record_damaged", extra={"file": name, "offset": offset, "bytes": len(content), "torn": torn, "kept": kept})

    def tell_unreadable(self, path: Path, error: OSError) -> None:
        """A whole file cannot be read: it stays where it is, if it is still there, and is tried again at the next start."""
        self.damaged += 1
        log.error("spool_file_unreadable", extra={"file": path.name, "error": str(error), "directory": str(path.parent)})

    def keep_refused(self, name: str, offset: int, content: bytes, reason: dict[str, object]) -> None:
        """Keep what the server refused, or holds with other content."""
        kept = self._keep(f"refused-{name}-{offset}", content, {"file": name, "offset": offset, **reason})
        self.refused += 1
        log.error("spool_record_refused", extra={"kept": kept, **reason})

    def _keep(self, stem: str, content: bytes, about: dict[str, object]) -> str:
        self.directory.mkdir(mode=0o700, exist_ok=True)
        path = self.directory / f"{stem}.record"
        with path.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        path.with_suffix(".json").write_text(json.dumps(about, sort_keys=True) + "\n", encoding="utf-8")
        sync_directory(self.directory)
        return str(path)
