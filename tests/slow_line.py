"""
A slow and lossy line between two network namespaces, and a real SSH server at its far end.

This kernel need not have ``netem``: the line is two tunnel devices, one in each
namespace, and a thread that carries every packet from one to the other, late or not at
all.  What TCP and SSH make of that is theirs, not ours.
"""

from __future__ import annotations

import fcntl
import heapq
import itertools
import os
import random
import select
import shutil
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers import wait_until

SSHD = "/usr/sbin/sshd"
PORT = 2222
NEAR, FAR = "10.213.7.1", "10.213.7.2"

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000


def missing() -> str:
    """Say what this machine lacks for a slow line with SSH at its end, "" when nothing."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun"
    lacking = [tool for tool in ("ip", "nsenter", "ssh", "ssh-keygen") if not shutil.which(tool)]
    if not Path(SSHD).exists():
        lacking.append("sshd (Debian: openssh-server)")
    return f"missing: {', '.join(lacking)}" if lacking else ""


@dataclass
class SlowLine:
    """
    The line while it is there.

    Args:
        near: Namespace of the operator's end.
        far: Namespace of the stack's end.
        delay_seconds: One way; a round trip takes twice as long.
        loss: Part of the packets that never arrive, 0-1.
        cut: Set while nothing arrives at all, as when the network has gone.
    """

    near: str
    far: str
    delay_seconds: float
    loss: float
    cut: threading.Event = field(default_factory=threading.Event)
    carried: int = 0
    lost: int = 0


@contextmanager
def slow_line(delay_seconds: float = 0.1, loss: float = 0.01) -> Iterator[SlowLine]:
    """Give a line whose round trip takes twice *delay_seconds* and that loses packets."""
    tag = f"{os.getpid() % 100000}"
    line = SlowLine(f"fragrance-near-{tag}", f"fragrance-far-{tag}", delay_seconds, loss)
    with ExitStack() as clean_up:
        ends = []
        for name, address, device in (
            (line.near, NEAR, f"fgn{tag}"),
            (line.far, FAR, f"fgf{tag}"),
        ):
            _ip("netns", "add", name)
            clean_up.callback(_ip, "netns", "del", name)
            ends.append(_tunnel(device))
            clean_up.callback(os.close, ends[-1])
            _ip("link", "set", device, "netns", name)
            _ip("-n", name, "address", "add", f"{address}/30", "dev", device)
            _ip("-n", name, "link", "set", device, "up")
            _ip("-n", name, "link", "set", "lo", "up")
        stop, wake = os.pipe()
        carrier = threading.Thread(target=_carry, args=(line, *ends, stop), daemon=True)
        carrier.start()
        try:
            yield line
        finally:
            os.close(wake)
            carrier.join(10)
            os.close(stop)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, timeout=30, capture_output=True)


def _tunnel(name: str) -> int:
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    request = struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI)
    fcntl.ioctl(descriptor, _TUNSETIFF, request)
    return descriptor


def _carry(line: SlowLine, near: int, far: int, stop: int) -> None:
    """Take packets at either end and deliver them at the other when their time has come."""
    chance = random.Random(1)  # noqa: S311 - which packets are lost, no secret
    order = itertools.count()
    under_way: list[tuple[float, int, int, bytes]] = []
    while True:
        wait = max(0.0, under_way[0][0] - time.monotonic()) if under_way else None
        ready = select.select([near, far, stop], [], [], wait)[0]
        if stop in ready:
            return
        for end in ready:
            packet = os.read(end, 65536)
            if line.cut.is_set() or chance.random() < line.loss:
                line.lost += 1
                continue
            due = time.monotonic() + line.delay_seconds
            other = far if end == near else near
            heapq.heappush(under_way, (due, next(order), other, packet))
        while under_way and under_way[0][0] <= time.monotonic():
            _, _, end, packet = heapq.heappop(under_way)
            if not line.cut.is_set():
                os.write(end, packet)
                line.carried += 1


@contextmanager
def ssh_server(line: SlowLine, directory: Path) -> Iterator[list[str]]:
    """
    Run a server of its own at the far end; give the command that logs in from the near one.

    It has its own keys and takes one user, this one; it gives a silent client up after
    a few seconds.
    """
    for name in ("host", "user"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)],
            check=True, timeout=30,
        )  # fmt: skip
    # Where sshd drops its rights to; its package makes it at the start of its own service.
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    config = directory / "sshd_config"
    config.write_text(
        f"Port {PORT}\nListenAddress {FAR}\nHostKey {directory / 'host'}\n"
        f"AuthorizedKeysFile {directory / 'user.pub'}\nPidFile none\n"
        "PermitRootLogin prohibit-password\nPasswordAuthentication no\nUsePAM no\n"
        "StrictModes no\nUseDNS no\nClientAliveInterval 2\nClientAliveCountMax 2\n"
    )
    with (directory / "sshd.log").open("wb") as log:
        server = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{line.far}", SSHD, "-D", "-e", "-f", str(config)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        wait_until(
            lambda: b"listening" in (directory / "sshd.log").read_bytes(), what="sshd listens"
        )
        yield [
            "nsenter", f"--net=/run/netns/{line.near}", "ssh", "-tt", "-F", "none", "-q",
            "-i", str(directory / "user"), "-p", str(PORT),
            "-o", f"UserKnownHostsFile={directory / 'known'}", "-o", "StrictHostKeyChecking=no",
            "-o", "IdentitiesOnly=yes", "-o", "ServerAliveInterval=5",
            "-o", "ServerAliveCountMax=2", f"root@{FAR}",
        ]  # fmt: skip
    finally:
        server.terminate()
        server.wait(10)


def processes_at(namespace: str) -> dict[int, str]:
    """Return the command lines, by pid, of all processes in a network namespace."""
    wanted = Path(f"/run/netns/{namespace}").stat().st_ino
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if (entry / "ns" / "net").stat().st_ino == wanted:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                found[int(entry.name)] = words.decode(errors="replace").strip()
        except OSError:
            continue  # it ended meanwhile
    return found
