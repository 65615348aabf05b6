"""
The product's own command line: ``python -m backend serve|migrate|keys|exporter|selfcheck``.

The console runs ``migrate`` and ``keys`` in a replica, so they print JSON on demand and
say by their exit code how it went: 0 done, 1 failed, 2 wrong usage or settings.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from backend.settings import Settings, SettingsError, load_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    if options.command == "selfcheck":
        from backend.selfcheck import selfcheck

        return selfcheck(as_json=options.json)
    try:
        settings = load_settings()
        runs = {"serve": _serve, "migrate": _migrate, "keys": _keys, "exporter": _exporter}
        return runs[options.command](settings, options)
    except SettingsError as error:
        return _failed(f"settings: {error}", 2)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m backend", description="Fragrance AI")
    commands = parser.add_subparsers(dest="command", required=True)

    serve = commands.add_parser("serve", help="serve the API until SIGTERM")
    serve.add_argument("--fd", type=int, action="append", default=[], metavar="N",
                       help="inherited listening socket; may be repeated")  # fmt: skip
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=8000)

    exporter = commands.add_parser("exporter", help="serve metrics of queues, tasks and workers")
    exporter.add_argument("--host", default="127.0.0.1")
    exporter.add_argument("--port", type=int, default=9808)

    check = commands.add_parser("selfcheck", help="prove that this image is whole")
    check.add_argument("--json", action="store_true")

    migrate = commands.add_parser("migrate", help="bring the database to a revision")
    actions = migrate.add_subparsers(dest="action", required=True)
    for name, default in (("upgrade", "head"), ("downgrade", "-1")):
        action = actions.add_parser(name)
        action.add_argument("revision", nargs="?", default=default)
        if name == "upgrade":
            action.add_argument("--sql", action="store_true", help="print the SQL, run nothing")
    for name in ("current", "history", "heads"):
        actions.add_parser(name).add_argument("--json", action="store_true")
    create = actions.add_parser("create", help="write a revision from the tables' changes")
    create.add_argument("message")
    create.add_argument("--class", dest="migration_class", required=True,
                        choices=("expand", "contract"))  # fmt: skip

    keys = commands.add_parser("keys", help="API keys")
    nouns = keys.add_subparsers(dest="action", required=True)
    for name in ("create", "revoke"):
        action = nouns.add_parser(name)
        action.add_argument("name")
        action.add_argument("--json", action="store_true")
    nouns.add_parser("list").add_argument("--json", action="store_true")
    return parser


def _serve(settings: Settings, options: argparse.Namespace) -> int:
    from backend.server import inherited_sockets, own_socket, serve

    try:
        sockets = inherited_sockets(options.fd) or [own_socket(options.host, options.port)]
    except OSError as error:
        return _failed(f"cannot listen: {error}")
    serve(settings, sockets)
    return 0


def _exporter(settings: Settings, options: argparse.Namespace) -> int:
    from backend.exporter.server import serve

    try:
        serve(settings, options.host, options.port)
    except OSError as error:
        return _failed(f"cannot listen: {error}")
    return 0


def _migrate(settings: Settings, options: argparse.Namespace) -> int:
    from backend.migrations import runner

    try:
        if options.action == "heads":
            heads = runner.heads()
            return _show(options, {"heads": heads}, heads)
        if options.action == "upgrade" and options.sql:
            return _show(options, None, [runner.upgrade_sql(options.revision)])
        migrator = runner.Migrator(settings.database_dsn)
        if options.action in ("upgrade", "downgrade"):
            getattr(migrator, options.action)(options.revision)
            return _show(options, None, [f"database is at {migrator.current() or 'base'}"])
        if options.action == "create":
            path = migrator.create(options.message, options.migration_class)
            return _show(options, None, [f"{path}: read, correct and document it"])
        return _show_revisions(options, migrator.current(), runner.revisions())
    except runner.MigrationError as error:
        return _failed(str(error))


def _show_revisions(options: argparse.Namespace, current: str | None, revisions: list[Any]) -> int:
    if options.action == "current":
        return _show(options, {"revision": current}, [current or "base"])
    rows = [asdict(each) | {"current": each.revision == current} for each in revisions]
    lines = [
        f"{'*' if row['current'] else ' '} {row['revision']}  {row['migration_class']:8}  "
        f"{row['subject']}"
        for row in rows
    ]
    return _show(options, {"revisions": rows}, lines)


def _keys(settings: Settings, options: argparse.Namespace) -> int:
    from backend.database import Database, DatabaseUnavailable
    from backend.services import keys

    database = Database(settings)
    try:
        if options.action == "create":
            made = database.run(lambda s: keys.create_key(s, options.name), retry_seconds=5)
            note = "shown once; keep it now"
            return _show(options, {"name": options.name, "key": made}, [made, note])
        if options.action == "revoke":
            if not database.run(lambda s: keys.revoke_key(s, options.name), retry_seconds=5):
                return _failed(f"no active key is named {options.name}")
            return _show(options, {"name": options.name}, [f"{options.name} is revoked"])
        listed = database.run(keys.list_keys, retry_seconds=5)
    except (DatabaseUnavailable, keys.KeyNameTaken) as error:
        return _failed(str(error))
    finally:
        database.close()
    rows = [
        {
            "name": key.name,
            "lookup": key.lookup,
            "created_at": key.created_at.isoformat(),
            "revoked_at": key.revoked_at.isoformat() if key.revoked_at else None,
        }
        for key in listed
    ]
    lines = [
        f"{row['name']:30} fk_{row['lookup']}_…  {'revoked' if row['revoked_at'] else 'active'}"
        for row in rows
    ]
    return _show(options, {"keys": rows}, lines)


def _show(options: argparse.Namespace, data: dict[str, Any] | None, lines: Sequence[str]) -> int:
    text = json.dumps(data) if getattr(options, "json", False) else "\n".join(lines)
    sys.stdout.write(f"{text}\n" if text else "")
    return 0


def _failed(message: str, exit_code: int = 1) -> int:
    sys.stderr.write(f"{message}\n")
    return exit_code
