"""``audit``: who changed what, when, why, and whether the record was tampered with."""

from __future__ import annotations

from console.cli.changing import print_json
from console.cli.main import Commands, Invocation, add_command
from console.cli.searching import add_search, search_filter, search_since
from console.domain.plans import Json
from console.domain.recorded import AUDIT_WORDS, entry_actor, entry_facts, entry_time
from console.journal.pages import find


def register(commands: Commands) -> None:
    """Add ``audit show|verify``."""
    command = add_command(commands, "audit", "who changed what, when and why")
    actions: Commands = command.add_subparsers(metavar="ACTION", required=True)
    show = add_command(actions, "show", "the last changes, newest first")
    show.add_argument("--limit", type=int, default=50, metavar="N", help="at most (50)")
    add_search(show)
    show.add_argument("--outcome", metavar="WORD", help="only those: done, refused, granted, …")
    show.add_argument("--kind", metavar="KIND", help="operation, change or access (elevation)")
    show.set_defaults(run=run_show)
    add_command(actions, "verify", "recompute the chain of hashes").set_defaults(run=run_verify)


def run_show(call: Invocation) -> int:
    """Print the last entries."""
    engine, args = call.engine(), call.args
    wanted = search_filter(args, AUDIT_WORDS, outcome=args.outcome, kind=args.kind)
    now = engine.clock.now()
    since = search_since(args.since, now)

    def young(entry: dict[str, Json]) -> bool:
        at = entry_time(entry)
        return since is None or at is None or at >= since

    entries = find(
        engine.audit,
        lambda entry: int(entry["seq"]),
        lambda entry: young(entry) and wanted.matches(entry_facts(entry, now)),
        max(1, args.limit),
        too_old=lambda entry: not young(entry),
    ).found
    if call.json:
        print_json(list(entries))
        return 0
    if not entries:
        print("no entry matches" if wanted or since else "nothing was changed yet")
    for entry in entries:
        user = entry_actor(entry)
        reason = f"  reason: {entry['reason']}" if entry["reason"] else ""
        print(
            f"{entry['seq']:5} {entry['at'][:19]} {user:16} {entry['outcome']:10} "
            f"{entry['what']}{reason}"
        )
    return 0


def run_verify(call: Invocation) -> int:
    """Print the verdict; exit 1 when the record was tampered with."""
    verdict = call.engine().verify_audit()
    if call.json:
        print_json(
            {
                "valid": verdict.valid,
                "entries": verdict.entries,
                "first_bad": verdict.first_bad,
                "reason": verdict.reason,
            }
        )
    elif verdict.valid:
        print(f"valid: {verdict.entries} entries")
    else:
        print(f"not valid: entry {verdict.first_bad}: {verdict.reason}")
    return 0 if verdict.valid else 1
