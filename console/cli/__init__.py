"""The command line: one file per noun, arguments → view or plan → lines or JSON.

A file exports ``register(commands)`` and one ``run_*`` function per command.
May import the engine and everything below it; never Textual.
"""
