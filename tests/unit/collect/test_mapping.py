from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.collect.mapping import Declarations, MappingError, checksum, load_tables
from tallystick.collect.resource import Found, Sizes

FILE = """
["tally/vm1"]
id = "vm-1"
customer = "acme"
vcpus = 4
labels = { tier = "gold" }
taps = ["tap1"]

["tally/*"]
customer = "pool"
"""


def found(local: str, source: str = "cgroup") -> Found:
    return Found(source=source, local=local, boot_id="b/1", pid=0, kind="group")


@pytest.fixture
def declarations(tmp_path: Path) -> Declarations:
    path = tmp_path / "map.toml"
    path.write_text(FILE)
    return Declarations(host="h", region="eu", customer_pattern="tenants/{customer}/**", tables=load_tables(path))


@pytest.mark.parametrize(
    ("local", "resource_id", "customer"),
    [
        ("tally/vm1", "vm-1", "acme"),
        ("tally/vm2", "h:tally/vm2", "pool"),
        ("tenants/blue/a/b", "h:tenants/blue/a/b", "blue"),
        ("system.slice/x.service", "h:system.slice/x.service", None),
    ],
)
def test_whose_it_is(declarations: Declarations, local: str, resource_id: str, customer: str | None) -> None:
    fact = declarations.fact(found(local), Sizes(), 7)
    assert (fact.resource_id, fact.customer_id, fact.region, fact.at_ns) == (resource_id, customer, "eu", 7)


def test_sizes_of_the_file_beat_limits_and_what_memory_means_is_told(declarations: Declarations) -> None:
    fact = declarations.fact(found("tally/vm1"), Sizes(vcpus=2, memory_bytes=1 << 30), 7)
    assert (fact.vcpus, fact.memory_bytes, fact.disk_bytes, fact.gpus) == (4, 1 << 30, None, None)
    assert fact.labels == {"memory": "working_set", "tier": "gold"}
    assert declarations.fact(found("a:1", "proc"), Sizes(), 7).labels == {"memory": "resident"}
    assert declarations.taps("tally/vm1") == ("tap1",)


def test_the_checksum_tells_news_apart(declarations: Declarations) -> None:
    one = declarations.fact(found("tally/vm1"), Sizes(), 7)
    assert checksum(one) == checksum(declarations.fact(found("tally/vm1"), Sizes(), 8))
    assert checksum(one) != checksum(declarations.fact(found("tally/vm1"), Sizes(memory_bytes=1), 7))


def test_every_mistake_is_named_with_table_field_and_value(tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text('flat = 1\n["a"]\nvcpus = -1\ncustomer = ""\ntaps = ["../x"]\ncolour = "red"\n')
    with pytest.raises(MappingError) as refused:
        load_tables(path)
    text = str(refused.value)
    for part in ("flat = 1", "a.vcpus = -1", "a.customer = ''", "a.taps", "a.colour = 'red'"):
        assert part in text
    path.write_text("[")
    with pytest.raises(MappingError):
        load_tables(path)
