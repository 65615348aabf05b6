"""The broker's publisher, apart from a broker."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FIRST_MESSAGES_AT_ONCE = """
import threading
from kombu.exceptions import OperationalError
from backend.contracts.tasks import JobKind
from backend.dispatch import Message, Publisher

publisher, together, met = Publisher("redis://127.0.0.1:1/0"), threading.Barrier(8), []

def publish():
    together.wait(10)
    try:
        publisher.publish(Message("a-job", JobKind.COMPOSE, None))
    except Exception as error:
        met.append(type(error))

threads = [threading.Thread(target=publish) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(30)
assert met == [OperationalError] * 8, met
"""


def test_first_messages_of_several_threads_all_reach_the_broker() -> None:
    """Celery's package replaces itself while it is imported; nobody may see it half made."""
    for _ in range(3):
        tried = subprocess.run(
            [sys.executable, "-c", FIRST_MESSAGES_AT_ONCE],
            cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert tried.returncode == 0, tried.stderr
