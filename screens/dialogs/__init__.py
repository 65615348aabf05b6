"""
Questions in front of a screen: plans, confirmations, reasons, help, the palette.

Each is a :class:`screens.dialogs.base.Dialog`; a new question is a file here.
"""
