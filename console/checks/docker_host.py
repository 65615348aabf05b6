"""
Whether this host can run the compose runtime: engine, plugins, limits, disk, ports, images.

Pure judgement of :class:`~console.checks.docker_facts.DockerFacts`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from console.checks.docker_facts import Certificate, DockerFacts, Holder
from console.domain.checks import CheckResult, CheckStatus

PASS, WARN = CheckStatus.PASS, CheckStatus.WARN
FAIL, UNKNOWN = CheckStatus.FAIL, CheckStatus.UNKNOWN

#: Makes everything of this page that is missing; on a host that has it, it changes nothing.
SETUP = "compose/engine/setup"
#: Older engines lack what the compose file asks for.
ENGINE_WANTED = (24, 0)
#: Older ones remove the newest replicas when a service is scaled down.
COMPOSE_WANTED = (2, 40)
#: Without them a limit that is set is not kept.
CONTROLLERS_NEEDED = frozenset({"cpu", "memory", "pids"})

GIB = 1024**3
#: A small host (8 cores, 16 GB, 50 GB); sizes as the kernel shows them are a little less.
SMALL_CORES = 8
SMALL_MEMORY_BYTES = int(16e9 * 0.95)
SMALL_DISK_BYTES = int(50e9 * 0.95)
#: Two app processes and two torch workers do not fit into less, however small the limits.
LEAST_MEMORY_BYTES = 4 * GIB
#: Our images take 2 GiB, the builds' cache and the database want the rest.
LEAST_FREE_BYTES = 5 * GIB
LOW_FREE_BYTES = 15 * GIB

LOCAL_BASES = ("fragrance-base-python:local", "fragrance-base-services:local")
UPSTREAM_BASES = ("python:3.11-slim", "pgvector/pgvector:pg18")
OUR_IMAGES = ("fragrance-ai-app", "fragrance-ai-worker-llm", "fragrance-ai-worker-rl")
CERTIFICATE_SOON_DAYS = 14


def judge_docker_host(facts: DockerFacts, now: datetime) -> list[CheckResult]:
    """
    Return the answers of all checks, in the order they are shown.

    Args:
        facts: As read.
        now: Aware; what the certificate's end is compared with.
    """
    results = [
        _engine(facts),
        _compose(facts),
        _buildx(facts),
        _cgroups(facts),
        _capacity(facts),
        _engine_disk(facts),
    ]
    results += [_port(facts, name, port) for name, port in facts.ports.items()]
    if facts.version is not None:
        results += [_bases(facts), _images(facts, facts.version)]
    if facts.certificate is not None:
        results.append(_certificate(facts.certificate, f"{facts.project}-nginx-1", now))
    if facts.gpu:
        results.append(_gpu(facts))
    return results


def version_numbers(text: str) -> tuple[int, int]:
    """Return the first two numbers of a version, ``v2.40.3-3`` → (2, 40); (0, 0) for none."""
    found = re.search(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _engine(facts: DockerFacts) -> CheckResult:
    wanted = ".".join(map(str, ENGINE_WANTED))
    if not facts.client:
        return CheckResult("docker", FAIL, "not installed", SETUP)
    if facts.engine_version is None:
        if "permission denied" in facts.engine_problem:
            return CheckResult(
                "docker",
                FAIL,
                "the daemon is not open to this user",
                "sudo usermod --append --groups docker $USER, then log in again",
            )
        return CheckResult("docker", FAIL, f"no daemon answers: {facts.engine_problem}", SETUP)
    if version_numbers(facts.engine_version) < ENGINE_WANTED:
        return CheckResult(
            "docker", FAIL, f"{facts.engine_version}, {wanted} or newer is needed", SETUP
        )
    return CheckResult("docker", PASS, f"{facts.engine_version}, the daemon answers")


def _compose(facts: DockerFacts) -> CheckResult:
    if facts.compose_version is None:
        return CheckResult("compose", FAIL, "not installed", SETUP)
    if version_numbers(facts.compose_version) < COMPOSE_WANTED:
        return CheckResult(
            "compose",
            FAIL,
            f"{facts.compose_version} removes the newest replicas on scale-down, "
            f"{'.'.join(map(str, COMPOSE_WANTED))} is needed",
            SETUP,
        )
    return CheckResult("compose", PASS, facts.compose_version)


def _buildx(facts: DockerFacts) -> CheckResult:
    if facts.buildx_version is None:
        return CheckResult("buildx", FAIL, "not installed: no image can be built", SETUP)
    return CheckResult("buildx", PASS, facts.buildx_version)


def _cgroups(facts: DockerFacts) -> CheckResult:
    if facts.cgroup_version is None:
        return CheckResult(
            "cgroups", FAIL, "not mounted: no container can run", "mount /sys/fs/cgroup"
        )
    if missing := sorted(CONTROLLERS_NEEDED - facts.controllers):
        return CheckResult(
            "cgroups",
            FAIL,
            f"v{facts.cgroup_version} without {', '.join(missing)}: limits would not be kept",
            "boot the kernel with cgroup_enable=memory swapaccount=1",
        )
    return CheckResult("cgroups", PASS, f"v{facts.cgroup_version}, limits can be kept")


def _capacity(facts: DockerFacts) -> CheckResult:
    cores, memory = facts.info.get("NCPU"), facts.info.get("MemTotal")
    if not isinstance(cores, int) or not isinstance(memory, int):
        return CheckResult("capacity", UNKNOWN, "the daemon does not say", SETUP)
    words = f"{cores} cores, {memory / GIB:.1f} GiB"
    if memory < LEAST_MEMORY_BYTES:
        return CheckResult(
            "capacity", FAIL, words, f"give this host {LEAST_MEMORY_BYTES // GIB} GiB or more"
        )
    if cores < SMALL_CORES or memory < SMALL_MEMORY_BYTES:
        return CheckResult(
            "capacity",
            WARN,
            f"{words}: less than a small host has (8 cores, 16 GB)",
            "limits are fitted to it at the first start; more cores and memory serve more requests",
        )
    return CheckResult("capacity", PASS, words)


def _engine_disk(facts: DockerFacts) -> CheckResult:
    if facts.disk is None:
        return CheckResult("engine_disk", UNKNOWN, "cannot be read", "df -h /var/lib/docker")
    free, size = facts.disk.free_bytes, facts.disk.size_bytes
    words = f"{free / GIB:.1f} of {size / GIB:.0f} GiB free at {facts.disk.path}"
    driver = str(facts.info.get("Driver", ""))
    if free < LEAST_FREE_BYTES:
        return CheckResult("engine_disk", FAIL, words, "docker system df; docker builder prune")
    if driver == "vfs":
        return CheckResult(
            "engine_disk",
            WARN,
            f"{words}; storage driver vfs copies every layer",
            "put the engine's data on a filesystem that overlay2 works on (ext4, xfs)",
        )
    if free < LOW_FREE_BYTES or size < SMALL_DISK_BYTES:
        return CheckResult("engine_disk", WARN, words, "docker system df; docker builder prune")
    return CheckResult("engine_disk", PASS, words)


def _port(facts: DockerFacts, variable: str, port: int) -> CheckResult:
    name = f"port_{variable.removesuffix('_PORT').lower()}"
    if facts.held is None:
        return CheckResult(name, UNKNOWN, f"{port}: cannot be read", "ss --listening --tcp")
    holder = facts.held.get(port)
    if holder is None:
        return CheckResult(name, PASS, f"{port} is free")
    if holder.project == facts.project:
        return CheckResult(name, PASS, f"{port} is held by this stack ({holder.name})")
    words = f"{port} is held by {_named(holder)}"
    if facts.env_file:
        return CheckResult(
            name, FAIL, words, f"stop it, or set {variable} in {facts.env_file} to a free port"
        )
    return CheckResult(
        name, WARN, words, f"stop it, else the first start takes another port ({variable})"
    )


def _named(holder: Holder) -> str:
    if holder.project:
        return f"container {holder.name} of project {holder.project}"
    return holder.name or "another program"


def _bases(facts: DockerFacts) -> CheckResult:
    if facts.images is None:
        return CheckResult("base_images", UNKNOWN, "the daemon does not say", SETUP)
    for names in (LOCAL_BASES, UPSTREAM_BASES):
        if facts.images.issuperset(names):
            return CheckResult("base_images", PASS, ", ".join(names))
    return CheckResult(
        "base_images",
        WARN,
        "none here yet: from an image registry, or made here where none is reachable",
        SETUP,
    )


def _images(facts: DockerFacts, version: str) -> CheckResult:
    if facts.images is None:
        return CheckResult("images", UNKNOWN, "the daemon does not say", SETUP)
    missing = [name for name in OUR_IMAGES if f"{name}:v{version}" not in facts.images]
    if missing:
        return CheckResult(
            "images",
            WARN,
            f"v{version} is not built: {', '.join(missing)}",
            "fragrance start --runtime compose (builds them)",
        )
    return CheckResult("images", PASS, f"all three of v{version}")


def _certificate(certificate: Certificate, container: str, now: datetime) -> CheckResult:
    import ssl

    found = re.search(r"notAfter=(.+)", certificate.said.out)
    try:
        ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(found[1] if found else ""), UTC)
    except ValueError:
        return CheckResult(
            "certificate",
            UNKNOWN,
            f"openssl cannot read it: {certificate.said.problem or 'it names no end'}",
            f"openssl x509 -noout -enddate -in {certificate.path}",
        )
    days, day = (ends - now).days, ends.date().isoformat()
    remedy = f"put a new fullchain.pem and privkey.pem beside {certificate.path}"
    if days < 0:
        return CheckResult("certificate", FAIL, f"ended on {day}", remedy)
    if days < CERTIFICATE_SOON_DAYS:
        return CheckResult("certificate", WARN, f"ends in {days} days, {day}", remedy)
    if certificate.shown is False:
        return CheckResult(
            "certificate",
            WARN,
            f"valid until {day}, and nginx still shows another one",
            f"docker kill --signal HUP {container}",
        )
    if certificate.unknown_names:
        return CheckResult(
            "certificate",
            WARN,
            f"valid until {day}; it is for {', '.join(certificate.unknown_names)}, "
            "which does not resolve",
            "add the name to DNS or /etc/hosts",
        )
    return CheckResult("certificate", PASS, f"valid until {day}")


def _gpu(facts: DockerFacts) -> CheckResult:
    runtimes = facts.info.get("Runtimes")
    if not isinstance(runtimes, dict):
        return CheckResult("gpu", UNKNOWN, "the daemon does not say", SETUP)
    if "nvidia" in runtimes:
        return CheckResult("gpu", PASS, "an NVIDIA GPU, and containers can use it")
    return CheckResult(
        "gpu",
        WARN,
        "an NVIDIA GPU that no container can use",
        "install nvidia-container-toolkit, then nvidia-ctk runtime configure --runtime=docker",
    )
