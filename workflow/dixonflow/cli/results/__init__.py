"""Commands on the results of a run: review, studies, calibration, other formats, releases, withdrawals."""
