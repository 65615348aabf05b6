"""Screens driven by keys; snapshots at 80×24 and 160×48."""
