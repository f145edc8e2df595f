"""Which structures two label lists have in common."""

from dixonflow.evaluation.masks.class_subsets import class_subset
from dixonflow.evaluation.masks.mapping import structure_ids
from dixonflow.evaluation.masks.mapping_files import named_mapping
from dixonflow.evaluation.masks.shared_regions import shared_regions

LOBES = ("lung_upper_lobe_left", "lung_lower_lobe_left")


def shared(reference, *predictions, **options):
    regions, left = shared_regions(reference, {f"s{i}": each for i, each in enumerate(predictions)}, **options)
    return {each.name: each for each in regions}, {each.structure: each.reason.value for each in left}


def numbers(*names):
    return tuple(sorted(structure_ids()[name] for name in names))


def test_what_one_side_joins_is_compared_as_a_union_of_both_sides():
    regions, left = shared({"kidneys", "liver"}, {"kidney_left", "kidney_right", "liver"})
    assert list(regions) == ["kidneys", "liver"]
    assert regions["kidneys"].labels == numbers("kidneys", "kidney_left", "kidney_right")
    assert not regions["kidneys"].composite  # its sides are not compared, so it enters means itself
    assert left == {"kidney_left": "compared_as_part", "kidney_right": "compared_as_part"}


def test_a_union_of_what_both_split_is_a_composite():
    both = {"kidney_left", "kidney_right"}
    regions, left = shared(both, both)
    assert {name: each.composite for name, each in regions.items()} == {
        "kidneys": True, "kidney_left": False, "kidney_right": False,
    }  # fmt: skip
    assert left == {}


def test_a_union_of_which_a_side_has_only_a_part_is_not_compared():
    regions, left = shared({"kidney_left"}, {"kidneys"})
    assert regions == {}
    assert left == {"kidneys": "incomplete", "kidney_left": "incomplete"}


def test_structures_of_one_side_are_listed():
    _, left = shared({"liver", "brain"}, {"liver", "heart"})
    assert left == {"brain": "only_in_reference", "heart": "only_in_prediction"}


def test_a_structure_that_a_second_system_lacks_is_compared_in_none():
    regions, left = shared({"liver", "spleen"}, {"liver", "spleen"}, {"liver"})
    assert list(regions) == ["liver"]
    assert left == {"spleen": "only_in_reference"}


def test_lobes_are_joined_on_request():
    lobes = {*LOBES, "liver"}
    regions, _ = shared(lobes, lobes)
    assert regions["lung_left"].composite
    assert not regions[LOBES[0]].composite
    regions, left = shared(lobes, lobes, join_lobes=True)
    assert list(regions) == ["liver", "lung_left"]
    assert not regions["lung_left"].composite
    assert left == dict.fromkeys(LOBES, "compared_as_part")


def test_classes_restrict_what_is_compared():
    both = {"liver", "spleen", "femur_left"}
    regions, left = shared(both, both, classes=class_subset("24"))
    assert sorted(regions) == ["liver", "spleen"]
    assert left.pop("femur_left") == "not_in_classes"
    assert left == dict.fromkeys(class_subset("24") - both, "in_no_case")


def test_every_subset_can_be_compared_between_the_systems_that_it_is_about():
    reference, predicted = (named_mapping(name).structures for name in ("mrsegmentator", "totalsegmentatorct"))
    for number in ("40", "24", "13"):
        regions, _ = shared(reference, predicted, classes=class_subset(number))
        assert len(regions) == int(number)
        assert not any(each.composite for each in regions.values())
    reference, predicted = (named_mapping(name).structures for name in ("mrsegmentator", "vibesegmentator100"))
    regions, _ = shared(reference, predicted, classes=class_subset("32"))
    assert len(regions) == 32


def test_vertebrae_are_the_union_of_levels_or_of_bodies_and_posterior_elements():
    levels = {name for name in structure_ids() if name.startswith("vertebrae_") and name != "vertebrae_S1"}
    regions, _ = shared(levels, {"vertebra_body", "vertebra_posterior_elements"})
    assert list(regions) == ["vertebrae"]
    assert len(regions["vertebrae"].labels) == 26
