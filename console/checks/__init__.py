"""Checks that answer one question with pass, warn, fail or unknown.

A source that is unavailable is *unknown*, never pass.
"""
