"""kill -9 of the server in the middle of ingest, again and again: nothing that was acknowledged is missing."""

from __future__ import annotations

import http.client
import signal
import threading
import time

import pytest

from tallystick.proto.tallystick.v1 import ingest_pb2 as wire
from tests.integration.serving import SEND, Served
from tests.integration.test_ingest import binary

KILLS = 3
CONNECTIONS = 4


@pytest.mark.timeout(180)
def test_what_is_acknowledged_survives_a_kill(served: Served) -> None:
    acknowledged: set[tuple[str, int]] = set()
    requests = [
        wire.SendRequest(batches=[binary(f"killed-{vm}", sequence, seed=sequence) for vm in range(10)]) for sequence in range(1, 121)
    ]
    for kill in range(KILLS):
        done = threading.Event()
        enough = 100 * (kill + 1)

        def run(requests: list[wire.SendRequest], enough: int = enough, done: threading.Event = done) -> None:
            for request in requests:
                try:
                    reply = served.server.rpc(SEND, request, served.agent)
                except (OSError, http.client.HTTPException):
                    return
                assert reply.status == 200, reply.body
                answer = wire.SendResponse.FromString(reply.body)
                acknowledged.update(
                    (each.resource_id, each.sequence)
                    for each, outcome in zip(request.batches, answer.batches, strict=True)
                    if outcome.outcome == wire.OUTCOME_STORED
                )
                if len(acknowledged) > enough:
                    done.set()

        part = requests[kill * 40 : (kill + 1) * 40]
        threads = [threading.Thread(target=run, args=(part[first::CONNECTIONS],)) for first in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        done.wait(20)
        time.sleep(0.003 * kill)
        served.server.stop(signal.SIGKILL)
        for thread in threads:
            thread.join()
        served.server.start()
    assert len(acknowledged) > 100 * KILLS
    lost = []
    for request in requests:
        answer = wire.SendResponse.FromString(served.server.rpc(SEND, request, served.agent).body)
        for each, outcome in zip(request.batches, answer.batches, strict=True):
            if (each.resource_id, each.sequence) in acknowledged and outcome.outcome != wire.OUTCOME_REPEATED:
                lost.append((each.resource_id, each.sequence, outcome.outcome))
    assert lost == []
