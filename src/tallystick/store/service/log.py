"""SQLite's write-ahead log: moved into the database file beside the commits, begun anew before it is long, cut when there is time.

What is committed is durable in the log; moving it is housekeeping. SQLite leaves it to the commit that finds the log long, which then
takes fifty milliseconds. To move it needs no turn: writers go on behind what is moved. The log begins anew with the first commit
that finds all of it moved and no reader in it. With commits without pause there is always one more in it by then, so a log that is
long already is moved to its end, in some milliseconds, by one who has the writers' turn.
"""

from __future__ import annotations

from tallystick.store.section import Section

LONG_PAGES = 4000
"""32 MiB: two seconds of 600,000 samples/s. The log is two to three times as long at most, unless a reader stays in it."""
PATIENCE_MS = 5
"""How long readers are waited for with the writers' turn: if one is in the log longer, it begins anew the next time."""


class Log(Section):
    """The log of a store. On PostgreSQL, which has its own ways, nothing here does anything."""

    def wait_written(self, seconds: float | None) -> bool:
        """Wait until this process has committed something since the last move; false after so many seconds (None: for ever)."""
        return self._database.written.wait(seconds)

    def wake(self) -> None:
        """Let whoever waits for something written go on, though nothing was."""
        self._database.written.set()

    def move(self) -> None:
        """Move what is committed into the database file; a long log begins anew. Nobody waits for more than some milliseconds."""
        self._database.written.clear()
        if self._database.file is None:
            return
        _, pages, _ = self._database.checkpoint("PASSIVE")
        if pages > LONG_PAGES:
            with self._database.turn():
                self._database.checkpoint("RESTART", PATIENCE_MS)

    def shorten(self) -> bool:
        """Move all of the log and cut it to nothing; false if someone is in the way.

        It waits for nobody: a reader or a writer that is at work keeps the log as it is.
        """
        return self._database.file is None or self._database.checkpoint("TRUNCATE")[0] == 0
