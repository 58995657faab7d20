"""Who may ask what: every route names the roles that it answers, and is answered only through this guard."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.responses import Response

from tallystick.model.access import WRITES_USAGE, Admission, Grant, Place, Role, Ticket
from tallystick.serve.problems import FORBIDDEN, TOO_LARGE, UNKNOWN_FIELD, UNSUPPORTED_TYPE, Problem, not_found
from tallystick.serve.repeats import Asker, answer_once
from tallystick.serve.services import Services
from tallystick.store.store import Store

BODY_LIMIT_BYTES = 4 * 2**20
MUTATIONS = frozenset({"POST", "PUT", "PATCH", "DELETE"})

READ_ALL = frozenset({Role.ADMIN, Role.AUDITOR, Role.BILLING})
READ_OWN = READ_ALL | {Role.CUSTOMER}
"""A customer's key reads its own only: each route limits what it finds by `Call.customers`."""

WRITE = frozenset({Role.ADMIN, Role.BILLING})
ADMINISTER = frozenset({Role.ADMIN})

LIMITED = frozenset({Role.AGENT, Role.CUSTOMER})
"""Whose keys may be limited to customers: a route that answers them lets nobody read or write past that."""


class Clock(Protocol):
    """What tells the time."""

    def now_ns(self) -> int:
        """The present instant: nanoseconds since the epoch, UTC."""
        ...


class Access(Protocol):
    """What knows the keys."""

    def authenticate(self, headers: Mapping[str, str]) -> Awaitable[Grant]:
        """The grant of a request with these headers (names in lower case); raises `Denied`."""
        ...

    def forget(self) -> None:
        """Believe no key any longer without looking it up: one was revoked."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What every route works with."""

    store: Store
    services: Services
    access: Access
    admission: Admission
    clock: Clock
    body_limit_bytes: int = BODY_LIMIT_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request of a known caller: what routes are given."""

    desk: Desk
    grant: Grant

    @property
    def place(self) -> Place:
        """The seller and scope of the key: nothing outside it is read or written."""
        return self.grant.place

    @property
    def actor(self) -> str:
        """Who does it, for the audit log."""
        return self.grant.key_id

    @property
    def customers(self) -> frozenset[str] | None:
        """The customers that the key may see; None: all of its place. A customer's key without customers sees nothing."""
        return customers_of(self.grant)

    def sees(self, customer_id: str) -> bool:
        """Whether the key may see what belongs to this customer."""
        return self.customers is None or customer_id in self.customers

    def only(self, customer_id: str | None) -> frozenset[str] | None:
        """The customers that a list is limited to: the one that is asked for, or all that the key may see (None: all).

        Raises:
            Problem: it is another's.

        """
        if customer_id is None:
            return self.customers
        if not self.sees(customer_id):
            raise not_found("customer_id", customer_id)
        return frozenset({customer_id})


def customers_of(grant: Grant) -> frozenset[str] | None:
    """The customers that a key may see; None: all of its place. A customer's key without customers sees nothing."""
    if grant.role is Role.CUSTOMER:
        return grant.customers
    return grant.customers or None


class Allow:
    """A route's dependency: it lets in these roles and gives the route its `Call`."""

    def __init__(self, roles: Iterable[Role]) -> None:
        self.roles = frozenset(roles)

    async def admit(self, request: Request) -> Call:
        """The call of this request.

        Raises:
            Denied: nobody known.
            Problem: a role that the route does not answer.

        """
        desk: Desk = request.app.state.desk
        grant = await desk.access.authenticate(request.headers)
        if grant.role not in self.roles:
            wanted = ", ".join(sorted(self.roles))
            raise Problem(FORBIDDEN, f"a key of the role {grant.role} may not do this; it needs {wanted}", field="role", value=grant.role)
        if grant.customers and not self.roles & LIMITED:
            named = ", ".join(sorted(grant.customers))
            raise Problem(FORBIDDEN, "a key that is limited to customers may not do this", field="customers", value=named)
        return Call(desk=desk, grant=grant)

    def __call__(self, request: Request, _key: Annotated[object, Depends(HTTPBearer(auto_error=False, scheme_name="key"))]) -> Call:
        """The call that the guard let in."""
        call: Call = request.state.call
        return call


ReaderOfAll = Annotated[Call, Depends(Allow(READ_ALL))]
Reader = Annotated[Call, Depends(Allow(READ_OWN))]
Writer = Annotated[Call, Depends(Allow(WRITE))]
Sender = Annotated[Call, Depends(Allow(WRITES_USAGE))]
Administrator = Annotated[Call, Depends(Allow(ADMINISTER))]


class GuardedRoute(APIRoute):
    """A route that knows its caller before it reads anything else, refuses query parameters that it does not have, and
    answers a repeated mutation once.
    """  # noqa: D205 (the first sentence is longer than a line)

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:  # noqa: ANN401 (FastAPI's own)
        super().__init__(path, endpoint, **options)
        found = _allows(self.dependant)
        if found:
            roles = sorted(frozenset.intersection(*(each.roles for each in found)))
            self.openapi_extra = {**(self.openapi_extra or {}), "x-roles": roles}

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler behind the guard."""
        inner = super().get_route_handler()
        allows = _allows(self.dependant)
        parameters = frozenset(_query_names(self.dependant))
        reads_json = self.body_field is not None

        async def guarded(request: Request) -> Response:
            for allow in allows:
                request.state.call = await allow.admit(request)
            if not allows:
                return await answered(request, None)
            call: Call = request.state.call
            ticket = await call.desk.admission.enter(call.grant, 0)
            try:
                return await answered(request, ticket)
            finally:
                ticket.leave()

        async def answered(request: Request, ticket: Ticket | None) -> Response:
            _refuse_unknown(request, parameters)
            if request.method in MUTATIONS:
                _refuse_type(request, reads_json=reads_json)
                await _read_limited(request, ticket)
                if allows:
                    call: Call = request.state.call
                    asker = Asker(repeats=call.desk.store.repeats, place=call.place, actor=call.actor)
                    return await answer_once(request, asker, inner)
            return await inner(request)

        return guarded


def _allows(dependant: Dependant) -> list[Allow]:
    found = [dependant.call] if isinstance(dependant.call, Allow) else []
    return [*found, *(each for inner in dependant.dependencies for each in _allows(inner))]


def _query_names(dependant: Dependant) -> list[str]:
    own = [field.alias for field in dependant.query_params]
    return [*own, *(name for inner in dependant.dependencies for name in _query_names(inner))]


def _refuse_unknown(request: Request, known: frozenset[str]) -> None:
    for name, value in request.query_params.multi_items():
        if name not in known:
            raise Problem(UNKNOWN_FIELD, f"{name}: the route has no such query parameter", field=name, value=value)


def _refuse_type(request: Request, *, reads_json: bool) -> None:
    """Only plain JSON bodies are read; a compressed one would hide its size."""
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise Problem(UNSUPPORTED_TYPE, "bodies are read uncompressed here", field="content-encoding", value=encoding)
    kind = request.headers.get("content-type", "")
    essence = kind.partition(";")[0].strip().lower()
    if reads_json and essence != "application/json" and request.headers.get("content-length", "0") != "0":
        raise Problem(UNSUPPORTED_TYPE, "the body must be application/json", field="content-type", value=kind)


async def _read_limited(request: Request, ticket: Ticket | None) -> None:
    """Read the whole body, and stop as soon as it is too large, or there is no room for it.

    Raises:
        Problem: it is too large.
        Busy: there is no room.

    """
    limit = request.app.state.desk.body_limit_bytes
    parts: list[bytes] = []
    size = 0
    stated = request.headers.get("content-length", "")
    if stated.isdigit() and int(stated) > limit:
        raise Problem(TOO_LARGE, f"the body has {stated} bytes, the limit is {limit}", field="body", value=stated)
    if ticket is not None and stated.isdigit():
        ticket.grow(int(stated))
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise Problem(TOO_LARGE, f"the body has more than the limit of {limit} bytes", field="body", value=str(size))
        if ticket is not None:
            ticket.grow(size)
        parts.append(part)
    request._body = b"".join(parts)
