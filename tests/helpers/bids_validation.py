"""The BIDS validator on a folder of derivatives."""

import json
import subprocess
import sys
from pathlib import Path

UNAVOIDABLE = ("warning TOO_FEW_AUTHORS", "warning SIDECAR_KEY_RECOMMENDED SpatialReference /seg-")
"""Authors, which only those who publish the data know, and the space of a table of labels, which has none."""


def bids_issues(folder: Path, *, errors_only: bool = False) -> list[str]:
    """Code, part and place of what the validator finds, errors and warnings."""
    command = [str(Path(sys.executable).with_name("bids-validator-deno")), str(folder), "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert found["summary"]["totalFiles"] > 0
    issues = [
        f"{issue['severity']} {issue['code']} {issue.get('subCode', '')} {issue['location']}"
        for issue in found["issues"]["issues"]
        if issue["severity"] == "error" or not errors_only
    ]
    return [issue for issue in issues if not issue.startswith(UNAVOIDABLE)]
