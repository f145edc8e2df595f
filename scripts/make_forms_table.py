#!/usr/bin/env python
"""Write the table of the forms of delivery in docs/raw_data.md, from what each gives on the phantom."""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "helpers"))

from forms_table import as_table, result_of, write_table_in_docs

from dixonflow.phantom.writers.deliveries import FORMS

with tempfile.TemporaryDirectory() as folder:
    write_table_in_docs(as_table({form: result_of(form, Path(folder)) for form in FORMS}))
