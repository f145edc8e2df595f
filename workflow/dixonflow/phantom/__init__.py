"""A digital whole-body Dixon phantom: participants, anatomy, scanner, truth, and writers of raw cohorts."""
