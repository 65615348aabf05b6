"""Widgets shared by several screens; each redraws on change only."""
