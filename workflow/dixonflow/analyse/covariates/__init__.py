"""Covariates of the participants: a file as cohorts deliver it, matched to the scans."""

from dixonflow.analyse.covariates.match import COVARIATE_TABLE, PROBLEM_TABLE, Covariates, covariates
from dixonflow.analyse.covariates.values import Problem

__all__ = ["COVARIATE_TABLE", "PROBLEM_TABLE", "Covariates", "Problem", "covariates"]
