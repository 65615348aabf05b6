"""``maintenance``: the page that users are shown while something is worked on."""

from __future__ import annotations

from console.cli.changing import change, print_json, say
from console.cli.figures import clock_time
from console.cli.main import Commands, Invocation, add_changing, add_command
from console.domain.maintenance import checklist, window_around
from console.domain.plans import Json


def register(commands: Commands) -> None:
    """Add ``maintenance``."""
    command = add_command(commands, "maintenance", "show users a page while you work, or no more")
    command.add_argument("wanted", choices=("on", "off", "status"))
    command.add_argument(
        "--limit",
        metavar="SECONDS",
        type=float,
        default=None,
        help="how long to wait for requests that are under way (60)",
    )
    command.add_argument(
        "--confirm",
        metavar="ITEM,…",
        default="",
        help="what of the list you answer for, or all (--dry-run shows the list)",
    )
    command.add_argument(
        "--emergency",
        action="store_true",
        help="without notice: cancels what runs, leaves requests that do not end to themselves",
    )
    add_changing(command)
    command.set_defaults(run=run_maintenance)


def run_maintenance(call: Invocation) -> int:
    """Switch it, or tell how it is."""
    if call.args.wanted == "status":
        return _show(call)
    wish: dict[str, Json] = {"on": call.args.wanted == "on"}
    if call.args.emergency:
        wish["emergency"] = True
    if names := [name.strip() for name in call.args.confirm.split(",") if name.strip()]:
        items = checklist(call.settings.policy.maintenance.notice_hours)
        wish["confirmed"] = [item.id for item in items] if names == ["all"] else names
    if call.args.limit is not None:
        wish["limit_seconds"] = call.args.limit
    code = change(call, "maintenance", wish)
    if not wish["on"] and code == 0 and not (call.args.dry_run or call.json):
        say(
            f"the agent watches the stack for {call.settings.policy.maintenance.watch_minutes:g} "
            "minutes from here: fragrance operations list, show OPERATION"
        )
    return code


def _show(call: Invocation) -> int:
    snapshot = call.engine().snapshot()
    since = snapshot.maintenance_since
    windows = call.settings.policy.maintenance.windows
    window = window_around(windows, snapshot.taken_at)
    if call.json:
        print_json(
            {
                "maintenance": snapshot.maintenance,
                "since": None if since is None else since.isoformat(),
                "requests_in_flight": snapshot.metrics.requests_in_flight,
                "window": None
                if window is None
                else {
                    "open": window[0] <= snapshot.taken_at,
                    "start": window[0].isoformat(),
                    "end": window[1].isoformat(),
                },
            }
        )
        return 0
    words = {True: "on", False: "off", None: "unknown, or there is no page here"}
    print(
        f"maintenance: {words[snapshot.maintenance]}"
        + (f" since {clock_time(since)}" if since is not None else "")
    )
    if window is not None:
        is_open = window[0] <= snapshot.taken_at
        print(
            f"window: {', '.join(windows)} UTC; {'it is now, until' if is_open else 'next'} "
            f"{window[1] if is_open else window[0]:%Y-%m-%d %H:%M} UTC"
        )
    return 0
