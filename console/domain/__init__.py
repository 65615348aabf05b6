"""Values and decisions; standard library only, no input or output.

Everything is a frozen dataclass or a pure function.  Anybody may import it.
"""
