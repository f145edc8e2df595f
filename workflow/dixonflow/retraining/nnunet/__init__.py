"""Training with nnunetv2's own code: data mixtures, plan, preprocessing, one job for each fold."""
