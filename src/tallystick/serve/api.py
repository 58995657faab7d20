"""The REST application: every route of `/v1`, health and metrics, and its OpenAPI document."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from tallystick import __version__
from tallystick.model.access import Admission
from tallystick.serve.faults import answer_faults
from tallystick.serve.guard import BODY_LIMIT_BYTES, Access, Clock, Desk
from tallystick.serve.openapi import RESPONSES, describe
from tallystick.serve.routes import (
    accounts,
    invoices,
    keys,
    priced,
    prices,
    resources,
    service,
    silence,
    status,
    subscriptions,
    too_late,
    usage,
)
from tallystick.serve.services import Services
from tallystick.store.store import Store

ROUTERS = (service, status, accounts, subscriptions, resources, usage, silence, too_late, prices, priced, invoices, keys)
"""Modules with routes, in the order of the OpenAPI document."""


def rest_app(
    store: Store, services: Services, access: Access, admission: Admission, clock: Clock, *, body_limit_bytes: int = BODY_LIMIT_BYTES
) -> FastAPI:
    """The application. It serves `/v1/...`, `/health`, `/ready`, `/metrics` and `/openapi.json`; anything else is 404.

    Routes are synchronous and run in worker threads: neither the store nor the renderer blocks the event loop.
    """
    app = FastAPI(
        title="Tallystick",
        version=__version__,
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        separate_input_output_schemas=False,
        generate_unique_id_function=lambda route: route.name if route.path_format[-4:] != ".pdf" else f"{route.name}_file",
    )
    app.state.desk = Desk(
        store=store, services=services, access=access, admission=admission, clock=clock, body_limit_bytes=body_limit_bytes
    )
    app.state.routes = tuple(route for module in ROUTERS for route in module.router.routes)
    for module in ROUTERS:
        app.include_router(module.router, responses=RESPONSES)
    answer_faults(app)

    def openapi() -> dict[str, Any]:
        return describe(app)

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to complete the document
    return app
