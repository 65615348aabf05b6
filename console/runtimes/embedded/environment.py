"""
What replicas see of the operator's environment: named variables, nothing else.

A shell carries credentials, virtual environments and library paths; none of them
belongs in a server, and a stack started by somebody else should run the same.
"""

from __future__ import annotations

from collections.abc import Mapping

#: The machine's own: where programs are, language, time zone, ways out.
SYSTEM = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
)

#: Settings that may be changed while it serves: of application and workers, of the
#: application alone, and of the workers by queue.
SETTINGS = (
    *("LOG_LEVEL", "PROMETHEUS_ENABLED", "USE_CACHE", "CACHE_TTL"),
    *("DB_POOL_SIZE", "DB_POOL_TIMEOUT"),
)
APP_SETTINGS = ("CORS_ORIGINS", "MAX_BODY_BYTES", "RATE_LIMIT", "RATE_LIMIT_ENABLED")
WORKER_SETTINGS = {
    "llm": ("LLM_WORKER_CONCURRENCY", "LLM_MAX_BATCH_SIZE", "USE_GPU", "ENABLE_QUANTIZATION"),
    "rl": ("RL_WORKER_CONCURRENCY", "RL_BATCH_SIZE", "USE_GPU"),
}

#: Settings of the product that an operator may give on the command line of ``start``.
#: Never a secret: these stand in the specs.  Secrets go into the secrets directory.
PRODUCT = (
    "APP_ENV",
    "BUILD_DATE",
    "CACHE_TTL",
    "CORS_ORIGINS",
    "DB_POOL_SIZE",
    "DB_POOL_TIMEOUT",
    "ENABLE_QUANTIZATION",
    "HF_HOME",
    "LLM_MAX_BATCH_SIZE",
    "LLM_WORKER_CONCURRENCY",
    "LOG_FORMAT",
    "LOG_LEVEL",
    "MAX_BODY_BYTES",
    "PROMETHEUS_ENABLED",
    "RATE_LIMIT",
    "RATE_LIMIT_ENABLED",
    "RL_BATCH_SIZE",
    "RL_WORKER_CONCURRENCY",
    "SETTINGS_FILE",
    "USE_CACHE",
    "USE_GPU",
    "VCS_REF",
)


def system_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what any program needs of *environ*."""
    return {name: environ[name] for name in SYSTEM if environ.get(name)}


def product_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of the product that *environ* carries."""
    return {name: environ[name] for name in PRODUCT if environ.get(name)}
