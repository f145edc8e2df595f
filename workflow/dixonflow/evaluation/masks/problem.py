"""What stops an evaluation, and what costs it one case."""

from dixonflow.errors import DixonflowError


class EvaluationError(DixonflowError):
    """The evaluation cannot start: a folder, a table, a mapping or an option is wrong."""


class CaseProblem(DixonflowError):  # noqa: N818 - it is an outcome of a case, not an error of the evaluation
    """One case cannot be evaluated.

    Parameters
    ----------
    message
        Why, without participant ids.
    system
        The system at fault; empty where it is the reference.
    """

    def __init__(self, message: str, system: str = "") -> None:
        super().__init__(message)
        self.system = system
