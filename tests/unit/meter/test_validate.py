"""Refusals in the order of metering.md, and the content hash."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest

from tallystick.meter import content, validate
from tallystick.meter.samples import Samples
from tallystick.model.outcomes import Refusal, RefusalCode
from tallystick.model.samples import FUTURE_LIMIT_NS, BatchIdentity

RECEIVED = 10**18
GOOD = BatchIdentity(resource_id="r", boot_id="b", spool_id="s", sequence=1)


def samples(**columns: list[int]) -> Samples:
    values = np.zeros((9, 3), np.int64)
    values[0] = columns.get("at", [1, 2, 3])
    values[1] = columns.get("memory", [0, 0, 0])
    values[8] = columns.get("tx", [0, 0, 0])
    return Samples(values=values, mask=0b100000011, interval_ns=1)


BIG = RECEIVED + FUTURE_LIMIT_NS


@pytest.mark.parametrize(
    ("identity", "batch", "code", "field", "index"),
    [
        (replace(GOOD, resource_id=""), samples(at=[0, 0, 0]), RefusalCode.EMPTY_ID, "resource_id", None),
        (replace(GOOD, spool_id=""), samples(at=[0, 0, 0]), RefusalCode.EMPTY_ID, "spool_id", None),
        (GOOD, Refusal(code=RefusalCode.WRONG_LENGTH, field="x"), RefusalCode.WRONG_LENGTH, "x", None),
        (GOOD, replace(samples(), interval_ns=0), RefusalCode.OUT_OF_RANGE, "interval_ns", None),
        (GOOD, samples(at=[0, 1, 2]), RefusalCode.OUT_OF_RANGE, "measured_at", 0),
        (GOOD, samples(at=[1, -2, 3]), RefusalCode.OUT_OF_RANGE, "measured_at", 1),
        (GOOD, samples(at=[1, 1, 3], memory=[0, -1, 0]), RefusalCode.OUT_OF_RANGE, "memory_bytes_used", 1),
        (GOOD, samples(at=[1, 1, 3], memory=[0, 0, -1]), RefusalCode.UNORDERED, "measured_at", 1),
        (GOOD, samples(at=[1, 2, 1], tx=[0, -1, 0]), RefusalCode.OUT_OF_RANGE, "network_tx_bytes", 1),
        (GOOD, samples(at=[1, 2, BIG + 1]), RefusalCode.FUTURE, "measured_at", 2),
        (GOOD, samples(at=[BIG + 2, BIG + 1, BIG + 3]), RefusalCode.FUTURE, "measured_at", 0),
        (GOOD, samples(at=[1, BIG + 2, BIG + 2]), RefusalCode.FUTURE, "measured_at", 1),
        (GOOD, samples(at=[3, 3, BIG + 2]), RefusalCode.UNORDERED, "measured_at", 1),
    ],
)
def test_refusals_in_their_order(
    identity: BatchIdentity, batch: Samples | Refusal, code: RefusalCode, field: str, index: int | None
) -> None:
    found = validate.refusal(identity, batch, RECEIVED)
    assert found is not None
    assert (found.code, found.field, found.index) == (code, field, index)
    assert found.value or index is None


def test_what_is_taken() -> None:
    assert validate.refusal(GOOD, samples(at=[1, 2, BIG], memory=[0, 2**63 - 1, 0]), RECEIVED) is None
    assert validate.refusal(replace(GOOD, spool_id="", sequence=0), samples(), RECEIVED) is None


def test_a_refused_batch_spoils_no_other() -> None:
    found = validate.refusals([GOOD] * 3, [samples(), samples(at=[2, 1, 3]), samples(at=[7, 8, 9])], RECEIVED)
    assert [one is None for one in found] == [True, False, True]


def test_instants_need_not_rise_from_one_batch_to_the_next() -> None:
    assert validate.refusals([GOOD] * 2, [samples(at=[7, 8, 9]), samples()], RECEIVED) == [None, None]


def test_the_hash_is_of_mask_columns_and_interval() -> None:
    batch = samples(at=[1, 2, 3], memory=[4, 5, 6], tx=[7, 8, 9])
    numbers = b"".join(value.to_bytes(8, "little") for value in (1, 2, 3, 4, 5, 6, 7, 8, 9, 1))
    assert content.content_hash(batch) == sha256(0b100000011.to_bytes(2, "little") + numbers).digest()
    assert content.content_hash(replace(batch, interval_ns=2)) != content.content_hash(batch)
    assert content.content_hash(replace(batch, mask=0b110000011)) != content.content_hash(batch)
