"""
What endpoints decide and look up, without HTTP.

Only :mod:`backend.api`, :mod:`backend.app` and :mod:`backend.admin` import this package.
``resilience`` guards dependencies, ``health`` watches them, the rest are the product's
nouns: ``keys``, ``jobs``, ``formulas``.
"""
