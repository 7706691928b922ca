"""The power that a site may take, and what stores energy there."""

from __future__ import annotations

from computeplan.specs.fields import Fraction, Frozen, SitePower, StoredEnergy, instead

__all__ = ["Battery"]


class Battery(Frozen):
    """What takes energy that is left over below the limit, and gives it where some is lacking.

    It is empty when a run begins, so that it gives no more than it took.
    """

    tried = instead(
        ("capacity size storage", "write energy: 40 MWh"),
        ("rate max_power c_rate", "write power: 10 MW"),
        ("loss losses round_trip eta", "write efficiency: 0.9, what it gives back of what it took"),
        ("charge level soc start", "it is empty when a run begins"),
    )

    energy: StoredEnergy
    """That it holds when it is full."""
    power: SitePower
    """At which it charges and gives, at most."""
    efficiency: Fraction
    """Energy that it gives back over what it took."""
