"""Fits fault laws to a log: rates, repairs, drift, dispersion, and what they predict."""
