"""All kinds of defects."""

from dixonflow.phantom.defects.defect import Defect
from dixonflow.phantom.defects.of_files import FILE_DEFECTS
from dixonflow.phantom.defects.of_geometry import GEOMETRY_DEFECTS
from dixonflow.phantom.defects.of_labels import LABEL_DEFECTS
from dixonflow.phantom.defects.of_signal import SIGNAL_DEFECTS

DEFECTS: tuple[Defect, ...] = (*FILE_DEFECTS, *SIGNAL_DEFECTS, *GEOMETRY_DEFECTS, *LABEL_DEFECTS)
