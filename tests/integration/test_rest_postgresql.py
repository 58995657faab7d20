"""What REST answers out of PostgreSQL is what it answers out of SQLite: those of its tests that ask the store for something."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.rest_world import World, fill_store, world_of
from tests.integration.test_rest import (
    test_a_customer_is_created_once,
    test_a_refusal_is_not_kept,
    test_a_repeat_under_way_is_a_conflict_until_it_is_stale,
    test_a_resource_is_declared,
    test_a_resource_that_moved_is_shown_as_it_was,
    test_a_revoked_key_opens_nothing,
    test_a_subscription_is_cancelled,
    test_an_hour_of_two_customers_is_shown_to_each_as_far_as_it_is_its_own,
    test_an_instant_is_exact_to_the_nanosecond,
    test_lists_go_page_by_page_newest_first,
    test_repeats_are_answered_once,
    test_the_live_table,
    test_the_seller_that_is_shown_can_be_sent_back,
    test_usage_hours_are_exact,
    test_usage_lists_go_page_by_page,
)
from tests.integration.test_rest_invoices import (
    test_a_customer_sees_what_was_sent_to_it,
    test_a_line_is_explained,
    test_a_preview_lists_drafts,
    test_an_invoice_is_had_by_id_and_number_in_three_forms,
    test_price_books_are_checked_stored_and_activated,
)
from tests.stores import migrated_database, postgres_server

__all__ = [
    "test_a_customer_is_created_once",
    "test_a_customer_sees_what_was_sent_to_it",
    "test_a_line_is_explained",
    "test_a_preview_lists_drafts",
    "test_a_refusal_is_not_kept",
    "test_a_repeat_under_way_is_a_conflict_until_it_is_stale",
    "test_a_resource_is_declared",
    "test_a_resource_that_moved_is_shown_as_it_was",
    "test_a_revoked_key_opens_nothing",
    "test_a_subscription_is_cancelled",
    "test_an_hour_of_two_customers_is_shown_to_each_as_far_as_it_is_its_own",
    "test_an_instant_is_exact_to_the_nanosecond",
    "test_an_invoice_is_had_by_id_and_number_in_three_forms",
    "test_lists_go_page_by_page_newest_first",
    "test_price_books_are_checked_stored_and_activated",
    "test_repeats_are_answered_once",
    "test_the_live_table",
    "test_the_seller_that_is_shown_can_be_sent_back",
    "test_usage_hours_are_exact",
    "test_usage_lists_go_page_by_page",
]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a filled database, to be copied."""
    with migrated_database("postgresql", tmp_path_factory.mktemp("filled")) as url:
        fill_store(url)
        yield url.rpartition("/")[2]


@pytest.fixture
def world(filled: str) -> Iterator[World]:
    """A world of its own on PostgreSQL."""
    url = postgres_server().new_database(filled)
    made = world_of(url, Path())
    yield made
    made.store.close()
    postgres_server().drop(url)
