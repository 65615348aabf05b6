"""``audit``: who changed what, when, why, and whether the record was tampered with."""

from __future__ import annotations

from console.cli.changing import print_json
from console.cli.main import Commands, Invocation, add_command


def register(commands: Commands) -> None:
    """Add ``audit show|verify``."""
    command = add_command(commands, "audit", "who changed what, when and why")
    actions: Commands = command.add_subparsers(metavar="ACTION", required=True)
    show = add_command(actions, "show", "the last changes, newest first")
    show.add_argument("--limit", type=int, default=50, metavar="N")
    show.set_defaults(run=run_show)
    add_command(actions, "verify", "recompute the chain of hashes").set_defaults(run=run_verify)


def run_show(call: Invocation) -> int:
    """Print the last entries."""
    entries = call.engine().audit(max(1, call.args.limit))
    if call.json:
        print_json(entries)
        return 0
    if not entries:
        print("nothing was changed yet")
    for entry in entries:
        origin = entry["actor"].get("origin", "local")
        user = entry["actor"]["user"] + ("" if origin == "local" else f" ({origin})")
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
