"""How a process of the server keeps its memory: what is freed stays its own, and garbage is looked for seldom."""

from __future__ import annotations

import ctypes
import gc

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # of mallopt(3)
KEPT_BYTES = 32 * 2**20
COLLECTED_AFTER = 50_000


def keep_freed_memory() -> None:
    """Tell glibc to keep up to 32 MiB that are freed: arrays come and go with each group, and giving their pages back to the
    kernel and taking them again costs 0.04 CPU-s a million samples. Another C library has no such word, and needs none.
    """  # noqa: D205 (the reason is one sentence)
    tune = getattr(ctypes.CDLL(None), "mallopt", None)
    if tune is not None:
        for option in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD):
            tune(option, KEPT_BYTES)
        tune(M_TOP_PAD, KEPT_BYTES // 2)


def collect_seldom() -> None:
    """Leave what is there now out of every collection, and look for cycles after 50,000 new objects instead of 700.

    Values here make none; an hour of 64 resources is some 100,000 short-lived tuples, and looking through them again and again
    was a quarter of a roll-up. Call it when a process has loaded what it needs.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECTED_AFTER, 20, 100)
