"""
Pure planners, one verb per file, and the runner that executes any plan.

``plan_*`` takes a :class:`~console.operations.request.PlanRequest` (one snapshot, one
wish) and returns a :class:`~console.domain.plans.Plan` or raises
:class:`~console.errors.Refused`.  A new verb is a new file and a line in
``OPERATIONS`` (:mod:`console.operations.table`); it is made of existing step kinds.
"""
