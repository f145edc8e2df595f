"""Quality checks of what the labels show: what each means, its threshold and its source."""

from dixonflow.measure.checks.definition import CheckDefinition, Decides
from dixonflow.vocabulary import Grade

_MORE, _SIDE = (
    "structures that such a scan cuts by design lack more than elsewhere",
    "a side of the body may be missing",
)
_LOOK = "Look at the picture: the person lay off the middle, or a part of the field of view is missing."
_ENDS: tuple[Decides, str] = ("cut_by_design", "As scan_ends_early.")
_SIDES: tuple[Decides, str] = ("all", _LOOK)
_EXTENTS = (
    ("above", "the heart", "top", ("heart",), _MORE, *_ENDS),
    ("below", "both hip bones", "bottom", ("hip_left", "hip_right"), _MORE, *_ENDS),
    ("left", "the spinal cord", "left edge", ("spinal_cord",), _SIDE, *_SIDES),
    ("right", "the spinal cord", "right edge", ("spinal_cord",), _SIDE, *_SIDES),
)
"""Distances to the edges of the field of view: name, from what, to which edge, structures, what a short one means, what
it decides on, and what to do.
"""

OF_ANATOMY = (
    CheckDefinition(
        "liver_right_of_spleen",
        "mm",
        "Distance of the liver's centroid to the right of the spleen's. Zero or less: the image or the labels are "
        "mirrored.",
        "above",
        0.0,
        Grade.FAIL,
        ("liver", "spleen"),
        decides="sided",
        advice="Look at the picture. Mirrored: find out which step of the export does it. Situs inversus is real, "
        "and its sides are right.",
    ),
    CheckDefinition(
        "heart_left",
        "mm",
        "Distance of the heart's centroid to the left of that of the spinal cord. Zero or less: the image or the "
        "labels are mirrored.",
        "above",
        0.0,
        Grade.FAIL,
        ("heart", "spinal_cord"),
        Grade.PASS,
        decides="sided",
        advice="As liver_right_of_spleen. A heart on the right is real, and rare.",
    ),
    CheckDefinition(
        "kidney_sides",
        "mm",
        "Distance of the right kidney's centroid to the right of the left kidney's. Zero or less: left and right "
        "are swapped.",
        "above",
        0.0,
        Grade.FAIL,
        ("kidney_right", "kidney_left"),
        decides="needs",
        advice="As liver_right_of_spleen; if the liver lies right, the network swapped the kidneys.",
    ),
    CheckDefinition(
        "head_up",
        "mm",
        "Height of the heart's centroid above that of both hip bones. Zero or less: the scan is upside down.",
        "above",
        0.0,
        Grade.FAIL,
        ("heart", "hip_left", "hip_right"),
        Grade.PASS,
        advice="Find out which step of the export turns the images.",
    ),
    CheckDefinition(
        "front_ahead",
        "mm",
        "Distance of the heart's centroid in front of that of the spinal cord. Zero or less: front and back are "
        "mirrored, or the scan is turned around.",
        "above",
        0.0,
        Grade.FAIL,
        ("heart", "spinal_cord"),
        Grade.PASS,
        advice="As head_up.",
    ),
    CheckDefinition(
        "wrong_side",
        "mL",
        "Volume of left-right errors: muscles, bones and organs that were labelled beyond the body's midline, which "
        "follows the spine. The label map's sidecar lists them and whether they were relabelled.",
        "at_most",
        1.0,
        decides="sided",
        advice="Look at muscles and bones in the picture. The label map's sidecar lists what was relabelled.",
    ),
    CheckDefinition(
        "kidney_volume_ratio",
        "1",
        "Volume of the smaller kidney over that of the larger. (In UK Biobank the larger has 1.08 times the volume of "
        "the smaller, median, IQR 1.04 to 1.15: Clin Kidney J 2024, sfae068.)",
        "at_least",
        0.5,
        needs=("kidney_right", "kidney_left"),
        decides="needs",
        asks_for_a_look=False,  # side_ratio does, by what is usual in the cohort, and kidney_sides where one is missing
        advice="Look at the smaller kidney: a cyst, a removed kidney and a failed segmentation look alike in a table.",
    ),
    CheckDefinition(
        "side_ratio",
        "1",
        "Volume of the smaller one of a left and a right structure over that of the larger one. Null: a structure "
        "without a partner, or one of both was not found or is cut by the field of view. Threshold: as for "
        "contrast_agreement.",
        of="labels",
        decides="checked",
        of_cohort=True,
        advice="Look at both: a part that is missing, cut off or has the label of another structure. People are not "
        "even either.",
    ),
    CheckDefinition(
        "in_one_piece",
        "1",
        "Share of the structure's voxels in its largest connected piece (faces, edges and corners); only of structures "
        "for which the model file allows one piece. Threshold: as for contrast_agreement, with a spread of at least "
        "0.0025. Below it another structure may have the label, or a part between the pieces may be missing.",
        of="single_pieces",
        decides="checked",
        with_touched=True,
        of_cohort=True,
        smallest_spread=0.0025,
        advice="Look at the pieces: the smaller ones are often something else.",
    ),
    CheckDefinition(
        "unusually_small",
        "",
        "Decimal logarithm of the volume in mL. Threshold: as for contrast_agreement. Below it the structure is "
        "unusually small among the scans of the run.",
        of="labels",
        decides="checked",
        of_cohort=True,
        advice="Look at the structure: a part that is missing, or a small one.",
    ),
    CheckDefinition(
        "unusually_large",
        "",
        "Decimal logarithm of the volume in mL. Threshold: as for contrast_agreement, on the other side of the median. "
        "Above it the structure is unusually large among the scans of the run.",
        "at_most",
        of="labels",
        decides="checked",
        of_cohort=True,
        advice="Look at the structure: others may have its label, or it is a large one.",
    ),
    CheckDefinition(
        "lower_cutoff",
        "mL",
        "Volume of a structure whose segmentation counts as failed below a published volume, which is the threshold; "
        "the model file says which, and from where.",
        "at_least",
        otherwise=Grade.FAIL,
        source="model file",
        of="cutoffs",
        decides="checked",
        advice="Look at the structure: missing pieces, or a small organ. The number is in value_before_grade.",
    ),
    CheckDefinition(
        "parts_found",
        "1",
        "Share of the parts of a composite that were found inside the field of view.",
        "at_least",
        1.0,
        of="composites",
        decides="checked",
        asks_for_a_look=False,
        advice="Nothing to look at: see the parts themselves.",
    ),
    CheckDefinition(
        "cut_by_field_of_view",
        "1",
        "Surface of the structure (voxel faces by area) on the edge of the field of view, over the surface of a ball "
        "of its volume. Of structures that a whole-body scan always cuts (measure/cut_by_design.csv): share of their "
        "own surface, where the top and the bottom of the scan do not count. The place says at which sides.",
        "at_most",
        0.0075,
        of="labels",
        decides="checked",
        asks_for_a_look=False,
        advice="Do not use the volume as that of the whole structure; coverage_fraction says how much of its surface "
        "is seen.",
        of_compartments=False,
    ),
    CheckDefinition(
        "scan_ends_early",
        "",
        "Number of structures that a whole-body scan shows whole and that its top or its bottom cuts by more than "
        "0.0075 (as in cut_by_field_of_view). Then structures that such a scan cuts by design are cut more than that.",
        "at_most",
        0.0,
        decides="cut_by_design",
        advice="Do not compare volumes of muscles, fat and bones with those of whole scans.",
    ),
    CheckDefinition(
        "scan_length",
        "mm",
        "Length of the field of view along the body. Threshold: as for extent_above. Below it the scan shows less of "
        "the body than the others of the run in the same layout.",
        of_protocol=True,
        of_dixon=True,
        advice="Compare the stations with those of other scans in the table acquisitions: slices may be missing.",
    ),
    *(
        CheckDefinition(
            f"extent_{name}",
            "mm",
            f"Distance from the centroid of {words} to the {end} of the scan. Threshold: median minus three times the "
            "spread (from the median absolute deviation, at least 5 mm) of all scans of the run in the same layout; "
            f"null for fewer than 10. Below it {lacks}.",
            needs=needs,
            decides=decides,
            asks_for_a_look=decides == "all",
            of_protocol=True,
            of_dixon=True,
            advice=advice,
        )
        for name, words, end, needs, lacks, decides, advice in _EXTENTS
    ),
    CheckDefinition(
        "structures_found",
        "1",
        "Share of the model's structures that were found. Each one that was not says so itself.",
        "at_least",
        0.9,
        decides="nothing",
        advice="Look at the picture: a short scan, or a failed segmentation.",
    ),
    CheckDefinition(
        "labels_outside_field_of_view",
        "1",
        "Share of the labelled voxels that lie outside all stations. They are not measured.",
        "at_most",
        0.001,
        advice="Report it: the label map and the images do not belong together.",
    ),
)
"""Checks of sides, sizes and the field of view."""
