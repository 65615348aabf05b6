"""
A worker with the product's Celery settings and heartbeat, whose task does what it is told.

``python -m tests.tiny_worker REPLICA [THREADS]`` consumes queue ``llm``; the task's
``job_id`` says how it ends: ``fail``, ``reject``, ``sleep-SECONDS[-ANYTHING]``, anything else
at once.  The hashes ``begun`` and ``ended`` of the shared database count the runs by id.
"""

from __future__ import annotations

import os
import sys
import time

from celery.exceptions import Reject

from backend.contracts.tasks import Queue, TaskName, broker_url, shared_url
from workers.base import create_app
from workers.connections import redis_client
from workers.control import node_name
from workers.heartbeat import Heartbeat, Identity, heartbeat_step
from workers.lease import LeaseKeeper


def compose(job_id: str) -> str:
    """End as the id says."""
    counts = redis_client(shared_url(os.environ["REDIS_URL"]), 5.0)
    counts.hincrby("begun", job_id, 1)
    said = _end(job_id)
    counts.hincrby("ended", job_id, 1)
    return said


def _end(job_id: str) -> str:
    if job_id == "fail":
        raise ValueError(job_id)
    if job_id == "reject":
        raise Reject(job_id, requeue=False)
    if job_id.startswith("sleep-"):
        time.sleep(float(job_id.split("-")[1]))
    return job_id


def main(replica: str, threads: str = "2") -> int:
    """Run until told to stop."""
    url = os.environ["REDIS_URL"]
    beat = Heartbeat(
        Identity(replica, "worker-llm", Queue.LLM, "test"),
        redis_client(shared_url(url), 1.0),
        LeaseKeeper(redis_client(broker_url(url, Queue.LLM), 1.0)),
    )
    beat.start()
    app = create_app(Queue.LLM, url)
    app.task(name=TaskName.COMPOSE_FORMULA.value)(compose)
    app.steps["consumer"].add(heartbeat_step(beat))
    worker = app.Worker(
        hostname=node_name(replica), queues=["llm"], pool="threads", concurrency=int(threads),
        quiet=True,
        without_mingle=True, without_gossip=True, without_heartbeat=True,
    )  # fmt: skip
    worker.start()
    beat.end()
    return int(worker.exitcode or 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
