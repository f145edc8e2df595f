"""Says which job died, why, and what its log ends with.

`quiet: rules` in profiles/default keeps Snakemake from printing ten lines for each of some 10,000 jobs, and with them
what it has to say of a job that died: on a cluster nothing would be left but "Look above for error messages".
"""

import logging
import sys
from pathlib import Path
from typing import TextIO

_JOB_ERROR = "job_error"
"""Value of Snakemake's LogEvent.JOB_ERROR."""

_LAST_LINES = 5


class JobErrors(logging.Handler):
    """Handler for Snakemake's logger that prints the end of a job that died.

    Parameters
    ----------
    stream
        Where to; standard error by default.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__(logging.ERROR)
        self._stream = stream or sys.stderr

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record of a job's death; all others are Snakemake's to print."""
        event = getattr(record, "event", None)
        if getattr(event, "value", event) != _JOB_ERROR:
            return
        fields = vars(record)
        logs = [Path(path) for path in fields.get("log") or ()]
        why = f": {fields['rule_msg']}" if fields.get("rule_msg") else ""
        lines = [f"dixonflow: a job of {fields.get('rule_name')} died{why}"]
        for log in logs:
            end = _last_lines(log)
            lines.append(f"  {log}{' ends with:' if end else ''}")
            lines += [f"    {line}" for line in end]
        print("\n".join(lines), file=self._stream, flush=True)


def _last_lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []  # the job died before it wrote a word
    return [line for line in text.splitlines() if line.strip()][-_LAST_LINES:]
