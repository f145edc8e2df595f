"""What stops an evaluation, and what costs it one case."""

from dixonflow.errors import DixonflowError


class EvaluationError(DixonflowError):
    """The evaluation cannot start: a folder, a table, a mapping or an option is wrong."""


class CaseProblem(DixonflowError):  # noqa: N818 - it is an outcome of a case, not an error of the evaluation
    """One case cannot be evaluated. The message says why, without participant ids."""
