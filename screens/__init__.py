"""What the operator sees; Textual only.

Screens receive an :class:`console.engine.Engine` and draw snapshots; they decide
nothing.  One operator's question is one file and one line in ``SCREENS``; what all
of them look like is in ``app.tcss``.
"""
