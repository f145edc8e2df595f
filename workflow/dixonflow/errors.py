"""Errors that end a scan or a run with a message that says what to do."""

from dixonflow.vocabulary import Reason


class DixonflowError(Exception):
    """Base of all errors that are reported as one clear line instead of a traceback."""


class ConfigError(DixonflowError):
    """The configuration, or something it names, is wrong. The message names the key."""


class ModelError(DixonflowError):
    """A segmentation model is missing, incomplete or not the one that its file describes."""


class ScanExcluded(DixonflowError):  # noqa: N818 - it is an outcome, not an error
    """The data of one scan does not allow it to be processed.

    Parameters
    ----------
    reason
        One of the closed list; goes to the tables.
    message
        What was seen and where, for a person. File names inside the scan's own folder only, no participant id.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(f"{reason.value}: {message}")
        self.reason = reason
        self.message = message
