from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tallystick.spool.records import HEADER_BYTES, MARK, Damage, Record, RecordKind, pack, scan

PAYLOADS = st.lists(st.one_of(st.binary(max_size=60), st.just(MARK * 5)), min_size=1, max_size=8)


def file_of(payloads: list[bytes]) -> bytes:
    return b"head" + b"".join(pack(RecordKind.BATCH, payload) for payload in payloads)


def good(content: bytes) -> list[bytes]:
    return [bytes(found.payload) for found in scan(content, 4) if isinstance(found, Record)]


@given(PAYLOADS)
def test_what_was_written_is_read(payloads: list[bytes]) -> None:
    assert good(file_of(payloads)) == payloads


@given(PAYLOADS, st.data())
def test_a_torn_end_costs_the_last_record_only(payloads: list[bytes], drawn: st.DataObject) -> None:
    content = file_of(payloads)
    cut = drawn.draw(st.integers(1, HEADER_BYTES + len(payloads[-1])))
    found = list(scan(content[:-cut], 4))
    assert [bytes(one.payload) for one in found if isinstance(one, Record)] == payloads[:-1]
    left = [one for one in found if isinstance(one, Damage)]
    assert all(one.torn and one.end == len(content) - cut for one in left)
    assert len(left) == (cut < HEADER_BYTES + len(payloads[-1]))


@given(PAYLOADS, st.data())
def test_a_flipped_bit_costs_its_own_record_only(payloads: list[bytes], drawn: st.DataObject) -> None:
    content = bytearray(file_of(payloads))
    at = drawn.draw(st.integers(4, len(content) - 1))
    content[at] ^= 1 << drawn.draw(st.integers(0, 7))
    ends, end = [], 4
    for payload in payloads:
        end += HEADER_BYTES + len(payload)
        ends.append(end)
    hit = next(index for index, end in enumerate(ends) if at < end)
    assert good(bytes(content)) == payloads[:hit] + payloads[hit + 1 :]
    damaged = [found for found in scan(bytes(content), 4) if isinstance(found, Damage)]
    assert [(one.offset, one.end) for one in damaged] == [(ends[hit] - HEADER_BYTES - len(payloads[hit]), ends[hit])]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_failing_and_nothing_is_skipped(content: bytes) -> None:
    at = 0
    for found in scan(content, 0):
        assert found.offset == at
        at = found.end
    assert at == len(content)
