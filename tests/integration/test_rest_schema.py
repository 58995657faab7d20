"""The OpenAPI document is complete and the server keeps to it: whatever it says is asked, whatever it does not is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.config import SchemathesisConfig

from tests.integration.rest_world import World, fill, open_world

load_all_checks()
EXAMPLES = 6
CHECKED = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "ignored_auth",
)
TELLS_MISTAKES = ("POST /v1/price-books", "POST /v1/usage/records")
"""Wrong data is what `lint=true` is for, and wrong records cost none beside them: it is answered 200, with what is wrong."""

MONEY = re.compile(r"^(amount|net|total|cost)$")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    filled, folder = tmp_path_factory.mktemp("filled"), tmp_path_factory.mktemp("world")
    fill(filled)
    made = open_world(filled, folder, real=True)
    yield made
    made.store.close()


@pytest.fixture(scope="module")
def api(world: World) -> Any:
    return schemathesis.openapi.from_asgi("/openapi.json", world.app, config=SchemathesisConfig())


@pytest.mark.timeout(300)
def test_every_operation_keeps_to_its_description(api: Any) -> None:
    checks = [CHECKS.get_one(name) for name in CHECKED]
    count = 0
    for found in api.get_all_operations():
        operation = found.ok()
        count += 1
        for mode in GenerationMode:
            if mode is GenerationMode.NEGATIVE and operation.label in TELLS_MISTAKES:
                continue

            @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
            @given(case=operation.as_strategy(generation_mode=mode))
            def holds(case: Any) -> None:
                case.call_and_validate(headers={"Authorization": "Bearer tsk_admin"}, checks=checks)

            if mode is GenerationMode.POSITIVE or operation.body or any(True for _ in operation.iter_parameters()):
                holds()
    assert count > 30


def test_every_operation_is_described_whole(world: World) -> None:
    document = world.client.get("/openapi.json").json()
    seen = set()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            place = f"{method} {path}"
            assert operation["summary"], place
            assert operation["description"], place
            assert operation["operationId"] not in seen, place
            seen.add(operation["operationId"])
            good = [operation["responses"][code] for code in operation["responses"] if code.startswith("2")]
            assert good, place
            for answer in good:
                for content in answer["content"].values():
                    assert content["schema"], place
            for code in ("400", "401", "403", "404", "409", "413", "415", "422", "500"):
                assert list(operation["responses"][code]["content"]) == ["application/problem+json"], place
            if method in ("post", "put", "delete"):
                assert "Idempotency-Key" in [each["name"] for each in operation["parameters"]], place


def test_money_is_a_string_with_a_pattern_beside_its_currency(world: World) -> None:
    schemas = world.client.get("/openapi.json").json()["components"]["schemas"]
    assert schemas["ShownMoney"]["properties"]["amount"] == {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$", "title": "Amount"}
    for name, each in schemas.items():
        for field, told in each.get("properties", {}).items():
            assert told.get("type") != "number", f"{name}.{field}"
            if MONEY.match(field) and name not in (
                "ShownMoney",
                "ExplainedPart",
                "ExplainedHour",
                "ExplainedRecordDocument",
                "MeterOfMinute",
                "MeterOfHour",
                "MeterOfTotal",
                "MeterOfLabel",
                "NewEvent",
                "NewRecord",
                "NewMarketPrice",
                "ShownMarketPrice",
            ):
                assert "ShownMoney" in str(told), f"{name}.{field}"
