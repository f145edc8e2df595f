"""A scan is the same in every form of delivery, from its stitched images to its labels and values."""

from collections.abc import Mapping

import numpy as np
import pytest
from forms_table import FormResult, as_table, largest_difference, result_of, table_in_docs

from dixonflow.phantom.writers.deliveries import FORMS
from dixonflow.vocabulary import DIXON


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, FormResult]:
    folder = tmp_path_factory.mktemp("forms")
    return {form: result_of(form, folder) for form in FORMS}


def test_labels_are_equal_voxel_for_voxel_and_values_within_1e_5(results: Mapping[str, FormResult]) -> None:
    first = results["ukb_zip"]
    assert len(np.unique(first.labels)) > 5
    assert sum(isinstance(value, float) for value in first.values.values()) > 100
    for one in results.values():
        for contrast in DIXON:
            np.testing.assert_array_equal(one.images[contrast], first.images[contrast])
        np.testing.assert_allclose(one.affine, first.affine, atol=1e-4)
        np.testing.assert_array_equal(one.labels, first.labels)
        assert largest_difference(one, first) <= 1e-5


def test_the_docs_have_the_table_of_this_test(results: Mapping[str, FormResult]) -> None:
    assert table_in_docs() == as_table(results), "run python tests/helpers/forms_table.py"
