"""The 46 structures of the phantom, with the ids of VIBESegmentator model 100."""

from enum import IntEnum


class Structure(IntEnum):
    """Label id of a structure. The published name is the member's name in lower case unless `PUBLISHED_NAMES` says
    otherwise.
    """

    SPLEEN = 1
    KIDNEY_RIGHT = 2
    KIDNEY_LEFT = 3
    LIVER = 5
    STOMACH = 6
    PANCREAS = 7
    LUNG_UPPER_LOBE_LEFT = 10
    LUNG_LOWER_LOBE_LEFT = 11
    LUNG_UPPER_LOBE_RIGHT = 12
    LUNG_MIDDLE_LOBE_RIGHT = 13
    LUNG_LOWER_LOBE_RIGHT = 14
    INTESTINE = 18
    URINARY_BLADDER = 21
    SACRUM = 23
    HEART = 24
    AORTA = 25
    INFERIOR_VENA_CAVA = 36
    ILIAC_ARTERY_LEFT = 38
    ILIAC_ARTERY_RIGHT = 39
    ILIAC_VENA_LEFT = 40
    ILIAC_VENA_RIGHT = 41
    HUMERUS_LEFT = 42
    HUMERUS_RIGHT = 43
    FEMUR_LEFT = 48
    FEMUR_RIGHT = 49
    HIP_LEFT = 50
    HIP_RIGHT = 51
    SPINAL_CORD = 52
    GLUTEUS_MAXIMUS_LEFT = 53
    GLUTEUS_MAXIMUS_RIGHT = 54
    GLUTEUS_MEDIUS_LEFT = 55
    GLUTEUS_MEDIUS_RIGHT = 56
    GLUTEUS_MINIMUS_LEFT = 57
    GLUTEUS_MINIMUS_RIGHT = 58
    AUTOCHTHON_LEFT = 59
    AUTOCHTHON_RIGHT = 60
    ILIOPSOAS_LEFT = 61
    ILIOPSOAS_RIGHT = 62
    SUBCUTANEOUS_FAT = 65
    MUSCLE = 66
    INNER_FAT = 67
    DISC = 68
    VERTEBRA_BODY = 69
    POSTERIOR_ELEMENTS = 70
    SPINAL_CANAL = 71
    BONE_OTHER = 72

    @property
    def published_name(self) -> str:
        """Name in the label table of VIBESegmentator model 100."""
        return PUBLISHED_NAMES.get(self, self.name.lower())


PUBLISHED_NAMES = {
    Structure.DISC: "IVD",
    Structure.POSTERIOR_ELEMENTS: "vertebra_posterior_elements",
    Structure.SPINAL_CANAL: "spinal_channel",
}

MUSCLES = tuple(
    s for s in Structure if s is Structure.MUSCLE or s.name.startswith(("GLUTEUS", "AUTOCHTHON", "ILIOPSOAS"))
)
"""Skeletal muscle: the same signal in all of them."""
