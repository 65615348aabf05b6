"""
What application and workers agree on: names, values, rules; no input or output.

Both sides import this package, so it needs nothing beyond the standard library,
numpy-free arithmetic and, for :mod:`backend.contracts.settings` alone, pydantic, for
:mod:`backend.contracts.traffic` alone, the Prometheus client.
A task's name goes to ``tasks``, what it carries to ``payloads``, a rule to ``perfumery``,
a shared setting to ``settings``.
"""
