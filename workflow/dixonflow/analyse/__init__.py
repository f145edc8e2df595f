"""What people do with the tables of a run: covariates of the participants, and studies with them."""
