"""Routes without a key: whether the server lives, is ready, and its metrics."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from tallystick.serve.documents.status import Health
from tallystick.serve.guard import Desk, GuardedRoute
from tallystick.serve.openapi import PROBLEM_REFERENCE
from tallystick.serve.problems import NOT_READY, Problem

router = APIRouter(route_class=GuardedRoute, tags=["service"])


@router.get("/health", summary="Whether the server lives")
def health() -> Health:
    """Answers as long as the process serves."""
    return Health(status="ok")


@router.get("/ready", summary="Whether the server can serve now", responses={503: {"description": "Not now.", **PROBLEM_REFERENCE}})
def ready(request: Request) -> Health:
    """Answers 503 with the reasons while the store cannot be reached or the server is stopping."""
    desk: Desk = request.app.state.desk
    reasons = desk.services.not_ready()
    if reasons:
        raise Problem(NOT_READY, "; ".join(reasons))
    return Health(status="ready")


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=PlainTextResponse,
    responses={200: {"description": "Prometheus' text format.", "content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(request: Request) -> Response:
    """Counters, gauges and histograms of this process, without a key: bind the listener to a network that may see them."""
    desk: Desk = request.app.state.desk
    return Response(desk.services.metrics(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})
