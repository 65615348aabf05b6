"""What the operator sees; Textual only.

Screens receive an :class:`console.engine.Engine` and draw snapshots; they decide
nothing.  One operator's question is one file with its ``.tcss`` and one line in
``SCREENS``.
"""
