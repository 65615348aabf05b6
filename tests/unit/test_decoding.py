"""Threads that read the same kind of record for the first time, all at once."""

from __future__ import annotations

import subprocess
import sys

from console.decoding import decoder
from console.domain.operations import Actor
from tests.stack import PROJECT

#: With decoders made side by side this dies of a segmentation fault.
ALL_AT_ONCE = """
import sys, threading
from console.decoding import decoder
from console.domain.snapshot import Snapshot
from console.journal.picture import to_json
from tests.fakes import pictures

sys.setswitchinterval(1e-6)
raw = to_json(pictures.normal())
together = threading.Barrier(8)
read = []

def first():
    together.wait()
    read.append(decoder(Snapshot).decode(raw))

threads = [threading.Thread(target=first) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert read == [pictures.normal()] * 8
"""


def test_a_kind_is_learnt_by_one_thread_while_the_others_wait() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALL_AT_ONCE],
        cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")


def test_a_decoder_is_made_once() -> None:
    assert decoder(Actor) is decoder(Actor)
    assert decoder(Actor).decode(b'{"user": "anna", "uid": 1}') == Actor("anna", 1)
