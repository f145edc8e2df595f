"""The overview pictures in the folder of the report: whose they are cannot be seen from their names."""

import logging

from dixonflow.cohort.shards import read_shards
from dixonflow.paths import Results
from dixonflow.report.contact_sheet import sheet_name

log = logging.getLogger(__name__)


def remove_orphaned_pictures(results: Results) -> None:
    """Remove the pictures of participants who withdrew, and those of raw data that has been replaced.

    The list of a shard names no raw data for a participant who withdrew, and a picture's name follows from it.
    """
    if not results.contact_sheets.is_dir():
        return
    wanted = {
        sheet_name(entry.scan, entry.raw_key)
        for shard in read_shards(results.shards)
        for entry in shard.scans
        if entry.raw_key
    }
    strays = [path for path in results.contact_sheets.iterdir() if path.name not in wanted and path.is_file()]
    for path in strays:
        path.unlink(missing_ok=True)
    if strays:
        log.info("removed %d overview pictures that belong to no scan", len(strays))
