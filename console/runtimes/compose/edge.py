"""What nginx reads from ``STATE/compose/nginx``; ``compose/nginx/nginx.conf`` says of what form."""

from __future__ import annotations

import shutil
import socket
import stat
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from console.errors import ConsoleError
from console.modes import is_shared
from console.runtimes.files import write_atomic

#: Requests a second with one API key and from one address, and how many at once above it.
RATE_PER_KEY, BURST_PER_KEY = 50, 100
RATE_PER_ADDRESS, BURST_PER_ADDRESS = 100, 200
MAX_BODY_BYTES = 65536

#: What the limits are made from.
EDGE_VARIABLES = frozenset(
    {"EDGE_RATE_PER_KEY", "EDGE_RATE_PER_ADDRESS", "MAX_BODY_BYTES", "RATE_LIMIT_ENABLED"}
)

CERTIFICATE_DAYS = 825
CERTIFICATE_SECONDS = 60.0

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Maintenance</title>
<h1>Maintenance</h1>
<p>Fragrance AI is being worked on and will be back soon. Nothing you sent before is lost.</p>
</html>
"""
PROBLEM = (
    '{"type":"urn:fragrance:problem:maintenance","title":"Service Unavailable",'
    '"status":503,"detail":"The service is being worked on; try again later."}\n'
)


def prepare_edge(
    directory: Path, variables: Mapping[str, str], project: str, progress: Callable[[str], None]
) -> None:
    """
    Make the missing files; those that follow from the variables are kept up to date.

    Args:
        directory: ``STATE/compose/nginx``.
        variables: Of the env file.
        project: Name of the compose project; its containers are named after it.
        progress: Told of what was made.

    Raises:
        ConsoleError: If no certificate can be made.
    """
    for part in (directory, *(directory / n for n in ("upstreams", "tls", "maintenance"))):
        part.mkdir(exist_ok=True)
        # Read by another user inside; the state directory itself is closed.
        mode = 0o2775 if is_shared(directory.parent) else 0o755
        if stat.S_IMODE(part.stat().st_mode) != mode:  # only its owner may, and need not again
            part.chmod(mode)
    if write_limits(directory, variables):
        progress("wrote the limits of the edge; nginx that runs takes them at its next reload")
    _put_missing(directory / "maintenance" / "page.html", PAGE)
    _put_missing(directory / "maintenance" / "problem.json", PROBLEM)
    replicas = int(variables.get("APP_REPLICAS") or variables.get("API_WORKERS") or 2)
    names = [f"{project}-app-{number}" for number in range(1, replicas + 1)]
    _put_missing(directory / "upstreams" / "app.conf", upstream_members(names))
    _put_missing(directory / "upstreams" / "generation.conf", 'return 200 "1";\n')
    tls = directory / "tls"
    if not (tls / "fullchain.pem").exists():
        _make_certificate(tls, variables)
        progress("made a self-signed certificate: put your own into nginx/tls in its place")


def write_limits(directory: Path, variables: Mapping[str, str]) -> bool:
    """Make the files say what follows from the variables; return whether they said otherwise."""
    changed = _put(directory / "edge.conf", edge_configuration(variables))
    return _put(directory / "limits.conf", limits_configuration(variables)) or changed


def upstream_members(containers: list[str]) -> str:
    """Return the server lines of the replicas that get traffic; none answers 502."""
    lines = [f"server {name}:8000 resolve;\n" for name in containers]
    return "".join(lines) or "server 127.0.0.1:9 down;\n"


def edge_configuration(variables: Mapping[str, str]) -> str:
    """Return what belongs to the whole of nginx: counters, and where TLS is published."""
    port = variables.get("HTTPS_PORT") or "443"
    suffix = "" if port == "443" else f":{port}"
    per_key = variables.get("EDGE_RATE_PER_KEY") or RATE_PER_KEY
    per_address = variables.get("EDGE_RATE_PER_ADDRESS") or RATE_PER_ADDRESS
    return (
        f'map "" $https_port_suffix {{\n    default "{suffix}";\n}}\n'
        f"limit_req_zone $http_x_api_key zone=per_key:10m rate={per_key}r/s;\n"
        f"limit_req_zone $binary_remote_addr zone=per_address:10m rate={per_address}r/s;\n"
        "limit_req_status 429;\n"
    )


def limits_configuration(variables: Mapping[str, str]) -> str:
    """Return the limits of the public server."""
    size = variables.get("MAX_BODY_BYTES") or MAX_BODY_BYTES
    text = f"client_max_body_size {size};\n"
    asked = variables.get("RATE_LIMIT_ENABLED") or ""
    enabled = asked.lower() not in {"false", "0", "no", "off"}
    if enabled:
        text += f"limit_req zone=per_key burst={BURST_PER_KEY} nodelay;\n"
        text += f"limit_req zone=per_address burst={BURST_PER_ADDRESS} nodelay;\n"
    return text


def _put(path: Path, text: str) -> bool:
    """Make *path* say *text*; return whether it said something else."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    write_atomic(path, text.encode())
    path.chmod(0o644)
    return True


def _put_missing(path: Path, text: str) -> None:
    if not path.exists():
        _put(path, text)


def _make_certificate(directory: Path, variables: Mapping[str, str]) -> None:
    """
    Make a key and a certificate for it with ``openssl``, the host's or an image's.

    The key goes from openssl into a file; it is in no argument and on no screen.
    """
    name = socket.gethostname()
    names = [f"DNS:{name}", "DNS:localhost", "IP:127.0.0.1"]
    with tempfile.TemporaryDirectory(dir=directory, prefix=".making-") as made:
        inside = made if shutil.which("openssl") else "/made"
        request = [
            *("openssl", "req", "-x509", "-nodes", "-days", str(CERTIFICATE_DAYS)),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-subj", f"/CN={name[:64]}", "-addext", f"subjectAltName={','.join(names)}"),
            *("-keyout", f"{inside}/privkey.pem", "-out", f"{inside}/fullchain.pem"),
        ]
        if inside != made:
            image = variables.get("NGINX_IMAGE") or "nginx:1.30"
            container = ["docker", "run", "--rm", "--network", "none", "--user", "0"]
            container += ["--volume", f"{made}:/made", "--entrypoint", request[0], image]
            request = [*container, *request[1:]]
        _run(request)
        for file in ("privkey.pem", "fullchain.pem"):
            write_atomic(directory / file, (Path(made) / file).read_bytes())
            (directory / file).chmod(0o444)


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=CERTIFICATE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        said = str(error)
    else:
        if done.returncode == 0:
            return
        said = " / ".join(done.stderr.strip().splitlines()[-2:])
    raise ConsoleError(
        f"no certificate could be made: {said}",
        unchanged="nothing was started",
        remedy="apt-get install openssl; or put fullchain.pem and privkey.pem there yourself",
    )
