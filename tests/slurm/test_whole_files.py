"""No reader ever sees a partial file."""

import gzip
import time

import pytest
from watch import Watch


def test_every_file_of_a_run_appears_whole(undisturbed):
    assert undisturbed.watch.partial == []
    assert undisturbed.watch.files > 80


@pytest.mark.parametrize("name", ["image.nii.gz", "rows.txt"])
def test_who_watches_sees_a_file_that_is_written_in_place(tmp_path, name):
    content = gzip.compress(b"0123456789" * 100)
    with Watch(tmp_path) as watch, (tmp_path / name).open("wb", buffering=0) as file:
        for half in (content[:20], content[20:]):
            file.write(half)
            time.sleep(0.1)
    assert watch.partial
    with Watch(tmp_path) as watch:
        whole = tmp_path / f".{name}"
        whole.write_bytes(content)
        whole.replace(tmp_path / name)
        time.sleep(0.1)
    assert watch.partial == []
    assert watch.files in {1, 2}  # the old one and the new one, or the new one alone
