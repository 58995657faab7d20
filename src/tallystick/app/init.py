"""`tally init` and `tally migrate`: a store from nothing, with a price book and a first key; a store brought to this version."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from tallystick.app.access import KEY_PREFIX
from tallystick.app.clock import Clock, Ids, RandomIds, clock_of
from tallystick.app.settings import Settings
from tallystick.model.access import Grant, Place, Role
from tallystick.rate.load import load_book
from tallystick.store.engine import parse_url
from tallystick.store.schema_version import migrate, newest_version
from tallystick.store.store import Store, open_store

ACTOR = "tally init"
DEFAULT_BOOK = "examples/default.yaml"
FIRST_VERSION = 1
FIRST_KEY = "first admin key"


class AlreadyThereError(Exception):
    """The store was initialized before; the message says which, and where its key may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What `tally init` made: the store by its URL without a password, the book in force, the key and where it is kept."""

    store_url: str
    price_book: str
    admin_key: str
    key_file: Path


def migrate_store(settings: Settings) -> str:
    """Bring the store to the schema of this version, which is returned; again, it changes nothing."""
    _make_folder(settings.state_dir)
    migrate(settings.url)
    return newest_version()


def init_store(settings: Settings, clock: Clock | None = None, ids: Ids | None = None) -> Made:
    """Make a store: tables, seller and scope `default`, the price book that ships, an admin key in a file for its owner only.

    What was interrupted is finished by calling it again: the file is written before the key is stored, and is then used.

    Raises:
        AlreadyThereError: the store has an admin key.

    """
    migrate_store(settings)
    told = clock or clock_of(settings.clock_file)
    store = open_store(settings.url, told)
    url, dialect = parse_url(settings.url)
    shown = url.set(drivername=dialect.value).render_as_string(hide_password=True)
    try:
        place = Place()
        if any(key.grant.role is Role.ADMIN and key.revoked_at_ns is None for key in store.keys.list(place)):
            raise AlreadyThereError(f"store {shown} was initialized before; its first admin key was kept in {settings.admin_key_file}")
        book = _price_book(store, place)
        key = _key_in(settings.admin_key_file, ids or RandomIds())
        grant = Grant(key_id=(ids or RandomIds()).new_id(), role=Role.ADMIN, place=place)
        store.keys.create(grant, hashlib.sha256(key.encode()).digest(), name=FIRST_KEY, actor=ACTOR)
    finally:
        store.close()
    return Made(store_url=shown, price_book=book, admin_key=key, key_file=settings.admin_key_file)


def _price_book(store: Store, place: Place) -> str:
    """The price book that ships, in force."""
    text = (files("tallystick.rate.books") / DEFAULT_BOOK).read_text(encoding="utf-8")
    book, mistakes = load_book(text, DEFAULT_BOOK)
    if book is None:
        raise RuntimeError(f"the price book that ships is wrong: {mistakes}")
    known = store.contracts.book(place, book.id, FIRST_VERSION)
    added = known.book if known else store.contracts.add_book(place, book, text, actor=ACTOR)
    store.contracts.activate_book(place, added.id, added.version, actor=ACTOR)
    return f"{added.id} version {added.version}"


def _key_in(path: Path, ids: Ids) -> str:
    """The key in a file: the one that an interrupted call left there, or a new one, on disk before anything else knows it."""
    _make_folder(path.parent)
    if path.exists():
        left = path.read_text(encoding="ascii").strip()
        if left.startswith(KEY_PREFIX):
            return left
    key = ids.new_key()
    beside = path.with_suffix(".new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{key}\n")
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    return key


def _make_folder(path: Path) -> None:
    """The folder, for its owner only if it is made here."""
    if not path.exists():
        path.mkdir(mode=0o700, parents=True)
