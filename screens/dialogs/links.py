"""Where else to look: the stack's own pages, one of which is copied."""

from __future__ import annotations

import os
import platform
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding

from console.domain.links import Link, links_of
from screens.dialogs.base import Dialog
from screens.rendering import clean, fill, paragraph, put, styled
from screens.widgets.footer import Hint
from screens.widgets.lines import Lines


class LinksDialog(Dialog[str]):
    """Show the links; ``enter`` copies the address, ``t`` the command of a tunnel to it."""

    GUARD_SECONDS: ClassVar[float] = 0.0
    BINDINGS: ClassVar = [
        Binding("k", "scroll_content(-1)", show=False),
        Binding("j", "scroll_content(1)", show=False),
        Binding("t", "tunnel", show=False),
    ]

    def __init__(self) -> None:
        super().__init__("Links")
        self._here = 0
        #: The host by the address that this session came in by, else by its own name.
        came_by = os.environ.get("SSH_CONNECTION", "").split()
        self._host = clean(came_by[2] if len(came_by) > 2 else platform.node() or "HOST", 100)

    def _links(self) -> tuple[Link, ...]:
        snapshot = self.view.snapshot
        return () if snapshot is None else links_of(snapshot)

    def _chosen(self) -> Link | None:
        links = self._links()
        return links[min(self._here, len(links) - 1)] if links else None

    def content(self, width: int) -> list[Text]:
        """Return the links, and how to reach the chosen one from another machine."""
        chosen = self._chosen()
        if chosen is None:
            return paragraph(["No page of this stack is known now."], width, self.look.dim)
        lines = []
        for link in self._links():
            here = link == chosen
            line = put(styled("› " if here else "  "), clean(link.title, 40), 16, self.look.strong)
            line.append(clean(link.url, 300), self.look.accent)
            line.truncate(width, overflow="ellipsis")
            lines.append(fill(line, width, self.look.selected) if here else line)
        tunnel = chosen.tunnel(self._host)
        if tunnel is not None:
            words = "The address is one of the stack's host. From another machine, first:"
            lines += [Text(), *paragraph([words], width, self.look.text)]
            lines.append(styled(f"   {tunnel}", self.look.accent))
        return lines

    def answers(self) -> tuple[Hint, ...]:
        """Return what the keys do."""
        chosen = self._chosen()
        there = chosen is not None
        tunnels = chosen is not None and chosen.tunnel(self._host) is not None
        return (Hint("enter", "copy the address", there), Hint("t", "copy the tunnel", tunnels),
                Hint("↑↓", "choose"), Hint("esc", "back"))  # fmt: skip

    def action_scroll_content(self, lines: int) -> None:
        """Choose another link."""
        self._here = max(0, min(len(self._links()) - 1, self._here + lines))
        self.redraw()
        self.query_one("#body", Lines).see(self._here + self.above)

    def action_enter(self) -> None:
        """Copy the address."""
        chosen = self._chosen()
        self.dismiss(None if chosen is None else chosen.url)

    def action_tunnel(self) -> None:
        """Copy the command of the tunnel."""
        chosen = self._chosen()
        tunnel = None if chosen is None else chosen.tunnel(self._host)
        if tunnel is not None:
            self.dismiss(tunnel)
