"""
The HTTP interface: one file per noun, each with its router.

Only :mod:`backend.app` imports this package.  An endpoint reads its request, calls
:mod:`backend.services`, and shapes the answer; errors are raised as
:class:`backend.api.problems.Problem` and leave as RFC 9457 problem details.  A new noun
is a file here and a line in ``backend.app``.
"""
