"""DixonFlow: raw whole-body Dixon MRI of a cohort to tables of organ volumes and fat compartments."""

__version__ = "0.2.0"
