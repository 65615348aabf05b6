"""
The one registry of what a key can do.

Bindings, footer, help and palette are all made from it.  An action ``scale_up``
is done by ``do_scale_up`` of the screen it was asked on, or else of the app; the
screen's ``refuses`` says why not now.  A new action is one line and one method.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import partial

from textual.binding import Binding, BindingType

from console.domain.lifecycle import ACTIVE
from console.domain.operations import UNFINISHED
from screens.table import SCREENS, WATCHING
from screens.view import View


class Tier(StrEnum):
    """How much an action is guarded."""

    HARMLESS = "harmless"
    CHANGING = "changing"  # asks; only y confirms
    SEVERE = "severe"  # the name is typed first


#: Any screen; the screens of the table and, beside them, ``operation`` (one operation).
ANYWHERE = ("*",)


@dataclass(frozen=True, slots=True)
class Action:
    """
    One thing a key can do.

    Args:
        id: Name of the method without ``do_``; ``open:NAME`` opens a screen.
        keys: Textual's key names, comma-separated; "" for what only the palette offers.
        shown: The keys as the operator reads them.
        label: What it does, in few words.
        group: Heading in help.
        where: Names of screens, or :data:`ANYWHERE`.
        tier: How it is guarded.
        needs_write: Whether write access is needed; the engine insists anyway.
        starts: Whether it starts an operation, of which there is one at a time.
        capability: Name of a Protocol of :mod:`console.capabilities` the runtime must have.
        hint: Place in the footer, 0 for none; the footer shows the lowest seven.
        hint_label: Shorter label for the footer.
        hint_shown: The keys for the footer, where it stands for several actions.
        by_name: Whether the palette offers it; not what only makes sense as a key.
    """

    id: str
    keys: str
    shown: str
    label: str
    group: str
    where: tuple[str, ...] = ANYWHERE
    tier: Tier = Tier.HARMLESS
    needs_write: bool = False
    starts: bool = False
    capability: str | None = None
    hint: int = 0
    hint_label: str = ""
    hint_shown: str = ""
    by_name: bool = True


_OVERVIEW = ("overview",)
_SERVICE = ("service",)
_SERVICES = (*_OVERVIEW, *_SERVICE)
_LOGS = ("logs",)
_ONE = ("operation",)
#: Said of every changing key while the past is drawn.
PAST = "this is the past, which nothing changes: . goes back to now"
_METRICS = ("metrics",)
_ALERTS = ("alerts",)
_LISTS = (
    *(*_SERVICES, "changes", "queues", "operations", "audit", "operation", "logs"),
    *(*_METRICS, *_ALERTS),
)
_move = partial(Action, group="Move", where=_LISTS, by_name=False)
_time = partial(Action, group="Back in time", where=WATCHING)
_DIGITS = ",".join("0123456789")
_changing = partial(Action, tier=Tier.CHANGING, needs_write=True)
_starting = partial(_changing, starts=True)
_scaling = partial(_starting, capability="StartsReplicas")
_restarting = partial(_starting, capability="RestartsReplica")

ACTIONS: tuple[Action, ...] = (
    Action("help", "question_mark", "?", "help for this screen", "Console", hint=1,
           hint_label="help"),
    Action("quit", "q,ctrl+c", "q", "quit; operations go on without you", "Console", hint=2,
           hint_label="quit"),
    Action("palette", "colon,ctrl+p", ": ^p", "everything by name", "Console", hint=60,
           hint_label="more"),
    Action("back", "escape", "esc", "back, or drop what is pending", "Console", hint=30,
           hint_label="back"),
    Action("elevate", "w", "w", "take or end write access", "Console", tier=Tier.CHANGING,
           hint=70, hint_label="write"),
    Action("next_theme", "T", "T", "next theme: dark, light, colour-blind, none", "Console"),
    Action("toggle_mouse", "M", "M", "mouse on or off", "Console"),
    Action("copy", "Y", "Y", "copy what is seen (OSC 52, also over SSH) and save it", "Console"),
    Action("links", "", "", "links: API docs, Grafana, Prometheus; copy one", "Console"),
    Action("suspend", "ctrl+z", "^z", "to the shell; fg comes back", "Console"),
    *(
        Action(f"open:{screen.name}", screen.key, screen.key,
               f"{screen.title}: {screen.question}", "Go to", hint=40 + place,
               hint_label=screen.title.lower())
        for place, screen in enumerate(SCREENS)
    ),
    _move("up", "up,k", "↑ k", "previous line"),
    _move("down", "down,j", "↓ j", "next line"),
    _move("page_up", "pageup,ctrl+b", "PgUp", "a page up"),
    _move("page_down", "pagedown,ctrl+f", "PgDn", "a page down"),
    _move("top", "home,g", "Home g", "to the beginning"),
    _move("bottom", "end,G", "End G", "to the end"),
    _time("earlier", "left_square_bracket", "[", "the picture before this", hint=80,
          hint_label="picture", hint_shown="[ ]"),
    _time("later", "right_square_bracket", "]", "the picture after this"),
    _time("much_earlier", "left_curly_bracket", "{", "5 minutes earlier", hint=81,
          hint_label="5 min", hint_shown="{ }"),
    _time("much_later", "right_curly_bracket", "}", "5 minutes later"),
    _time("jump_back", "J", "J", "jump to a time, an alert, an operation", hint=82,
          hint_label="jump"),
    _time("to_now", "full_stop", ".", "back to now", hint=83, hint_label="now"),
    Action("enter", "enter", "enter", "why: the service, or plan the target", "Services",
           _OVERVIEW, hint=11, hint_label="why"),
    Action("ask_again", "enter", "enter", "ask the runtime again, or plan the target", "Services",
           _SERVICE),
    Action("expand", "right", "→", "show replicas", "Services", _OVERVIEW),
    Action("collapse", "left", "←", "hide replicas", "Services", _OVERVIEW),
    Action("sort", "S", "S", "sort by the next: worst, name, cpu, memory, restarts, uptime",
           "Services", _SERVICES),
    Action("next_service", "n", "n", "the next service", "Services", _SERVICE, hint=13,
           hint_label="next"),
    Action("previous_service", "p", "p", "the service before", "Services", _SERVICE),
    Action("service_logs", "L", "L", "logs of this service alone", "Services",
           (*_SERVICES, "queues")),
    _scaling("scale_up", "plus,equals_sign", "+", "one replica more in the target", "Services",
           _SERVICES, hint=10, hint_label="scale", hint_shown="+ -"),
    _scaling("scale_down", "minus", "-", "one replica less in the target", "Services",
           _SERVICES),
    _scaling("scale_set", _DIGITS, "0–9", "set the target", "Services", _SERVICES,
             by_name=False),
    _scaling("scale", "s", "s", "scale: advice, target, plan", "Services",
             (*_SERVICES, "queues")),
    _changing("autoscale", "x", "x", "autoscale this service, or no longer", "Services",
              _SERVICES, capability="StartsReplicas"),
    _starting("resize", "z", "z", "resize: other limits of cpu and memory", "Services",
              _SERVICES, capability="SetsLimits"),
    _restarting("restart", "r", "r", "restart this service, or this one replica", "Services",
                _SERVICES, hint=12, hint_label="restart"),
    _restarting("restart_all", "R", "R", "restart everything, one replica at a time", "Stack"),
    _starting("restart_complete", "", "", "restart everything from the ground up: an outage",
              "Stack", tier=Tier.SEVERE, capability="RemovesReplica"),
    _starting("cleanup", "", "", "clean up: old images, logs, checkpoints, with sizes", "Stack",
              capability="HasLogFiles"),
    _starting("settings", "", "", "settings: another value of one", "Stack",
              capability="HasSettings"),
    _starting("maintenance", "P", "P", "maintenance page: show it, or take it away", "Stack",
              capability="HasMaintenance"),
    _starting("maintenance_off", "", "", "maintenance page: take it away, though unknown",
              "Stack", capability="HasMaintenance"),
    _starting("maintenance_emergency", "", "",
              "maintenance page: at once, without notice; cancels what runs", "Stack",
              capability="HasMaintenance"),
    _starting("emergency", "exclamation_mark", "!", "emergency: every worker service to 1, at once",
              "Stack", capability="RemovesReplica"),
    Action("filter_list", "slash", "/", "filter: words, field:word, figure>80", "List",
           ("queues", "operations", "audit", *_SERVICES), hint=15, hint_label="filter"),
    Action("pause", "space", "space", "pause or go on", "Logs", _LOGS, hint=10,
           hint_label="pause"),
    Action("filter", "slash", "/", "keep lines that match a pattern", "Logs", _LOGS, hint=11,
           hint_label="filter"),
    Action("errors", "e", "e", "errors only, or all", "Logs", _LOGS, hint=12,
           hint_label="errors"),
    Action("level", "d", "d", "lowest level shown", "Logs", _LOGS),
    Action("pick_services", "p", "p", "pick services", "Logs", _LOGS, hint=13,
           hint_label="services"),
    Action("find", "f", "f", "find text without hiding the rest", "Logs", _LOGS),
    Action("find_next", "n", "n", "next find", "Logs", _LOGS),
    Action("find_previous", "N", "N", "previous find", "Logs", _LOGS),
    Action("context", "c", "c", "lines around what matches: 0, 2, 5, 10", "Logs", _LOGS),
    Action("begin", "b", "b", "begin at: 1h, 14:30, or a number of lines", "Logs", _LOGS),
    Action("older", "B", "B", "an hour further back", "Logs", _LOGS),
    Action("jump", "at", "@", "go to a clock time, also one long past", "Logs", _LOGS),
    Action("wrap", "x", "x", "break long lines, or look sideways", "Logs", _LOGS),
    Action("raw", "r", "r", "as written, or message key=value", "Logs", _LOGS),
    Action("zone", "u", "u", "times in UTC or local", "Logs", _LOGS),
    Action("left", "left", "←", "to the left of long lines", "Logs", _LOGS),
    Action("right", "right", "→", "to the right of long lines", "Logs", _LOGS),
    Action("save", "s", "s", "save what is kept to a file", "Logs", _LOGS, hint=14,
           hint_label="save"),
    Action("range", "1,2,3,4", "1–4", "range: 15 minutes, 1, 6, 24 hours", "Metrics", _METRICS,
           hint=10, hint_label="range", by_name=False),
    Action("range_shorter", "left", "←", "a shorter range", "Metrics", _METRICS),
    Action("range_longer", "right", "→", "a longer range", "Metrics", _METRICS),
    Action("targets", "x", "x", "what Prometheus scrapes, or the figures", "Metrics", _METRICS,
           hint=11, hint_label="targets"),
    Action("procedure", "enter", "enter", "its procedure in the runbook", "Alerts", _ALERTS,
           hint=10, hint_label="procedure"),
    _changing("silence", "s", "s", "silence it for a time, with a reason", "Alerts", _ALERTS,
              hint=11, hint_label="silence"),
    _changing("unsilence", "u", "u", "be told of it again", "Alerts", _ALERTS, hint=12,
              hint_label="unsilence"),
    _changing("test_alerts", "", "", "alerts: send a test to every receiver", "Stack"),
    Action("show_operation", "enter", "enter", "open this operation", "Operations",
           ("operations", "audit"), hint=10, hint_label="open"),
    Action("audit", "tab", "tab", "audit: every change, and whether the record is whole",
           "Operations", ("operations", "audit"), hint=16, hint_label="audit"),
    Action("verify_audit", "e", "e", "recompute the chain of the audit now", "Operations",
           ("audit",)),
    _changing("resume", "r", "r", "resume: what is already true is skipped", "Operation",
           ("operations", *_ONE), hint=11, hint_label="resume"),
    _changing("undo", "u", "u", "undo by the stored plan", "Operation",
           ("operations", *_ONE), hint=12, hint_label="undo"),
    _changing("accept", "A", "A", "accept the present state as it is", "Operation",
           ("operations", *_ONE), hint=13, hint_label="accept"),
    _changing("answer", "y", "y", "answer what it asks: go on, wait, or go back", "Operation",
           ("operations", *_ONE)),
    _changing("cancel", "c", "c", "cancel at the next step and go back", "Operation",
           ("operations", *_ONE), hint=14, hint_label="cancel"),
)  # fmt: skip

#: As many hints as 80 columns hold.
FOOTER_HINTS = 7


def actions_on(screen: str) -> tuple[Action, ...]:
    """Return the actions of the screen called *screen*, in the registry's order."""
    return tuple(a for a in ACTIONS if a.where == ANYWHERE or screen in a.where)


def action(action_id: str) -> Action:
    """Return the action called *action_id*."""
    return next(a for a in ACTIONS if a.id == action_id)


def bindings_on(screen: str) -> list[BindingType]:
    """Return the key bindings of the screen called *screen*."""
    return [
        Binding(key, f"act('{a.id}', '{key}')", a.label, show=False)
        for a in actions_on(screen)
        for key in a.keys.split(",")
        if key
    ]


def offered_on(screen: str, view: View) -> tuple[Action, ...]:
    """Return the actions of *screen* that this runtime has: only their keys are listed."""
    return tuple(a for a in actions_on(screen) if _possible(a, view))


def hints_on(screen: str, view: View, now: datetime) -> tuple[Action, ...]:
    """
    Return the actions shown in the footer of *screen*, most important first.

    Without write access the way to it stands in the place of what needs it.
    """
    useless = {f"open:{screen}"} | ({"back"} if screen == SCREENS[0].name else set())
    read_only = view.production and not view.may_write(now)
    hinted = [a for a in offered_on(screen, view) if a.hint and a.id not in useless]
    if view.rewound is not None:  # what moves in time stands in the place of what changes
        hinted = [
            replace(a, hint=a.hint - 76) if a.group == "Back in time" else a
            for a in hinted
            if a.tier is Tier.HARMLESS
        ]
        return tuple(sorted(hinted, key=lambda a: a.hint)[:FOOTER_HINTS])
    if read_only:
        hinted = [replace(a, hint=3) if a.id == "elevate" else a for a in hinted]
        hinted = [a for a in hinted if not a.needs_write]
    else:
        hinted = [a for a in hinted if a.id != "elevate"]
    return tuple(sorted(hinted, key=lambda a: a.hint)[:FOOTER_HINTS])


def why_not(wanted: Action, view: View, now: datetime) -> str | None:
    """Return why *wanted* cannot be done in this state of things, None when it can."""
    if view.rewound is not None and wanted.tier is not Tier.HARMLESS:
        return PAST
    if not _possible(wanted, view):
        runtime = view.snapshot.runtime if view.snapshot else "this"
        return f"the {runtime} runtime cannot do this"
    if not wanted.needs_write:
        return None
    if view.access is None:
        return "it is not known yet whether changes are allowed"
    if not view.may_write(now):
        return f"read-only: this is {view.environment}; w takes write access"
    return _why_not_started(wanted, view) if wanted.starts else None


def _possible(wanted: Action, view: View) -> bool:
    return wanted.capability is None or wanted.capability in view.capabilities


def _why_not_started(wanted: Action, view: View) -> str | None:
    snapshot, operation = view.snapshot, view.operation
    if snapshot is None or snapshot.unseen is not None:
        return "what runs cannot be seen"
    if not snapshot.running:
        return "nothing runs here: fragrance start"
    if operation is None or operation.state not in UNFINISHED:
        return None
    if wanted.id in {"emergency", "maintenance_emergency"} and operation.state in ACTIVE:
        return None  # it is asked to stop first
    return f"{operation.verb} is {operation.state.value}: settle it first, o shows it"
