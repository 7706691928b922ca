"""Checks for what third parties add."""

from computeplan.testing.policy_check import PolicyError, check_policy

__all__ = ["PolicyError", "check_policy"]
