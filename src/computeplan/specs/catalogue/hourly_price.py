"""A tariff by time of use: the price of each hour of a day, for each month of a year.

The hours say how much dearer than flat a band is, and on which part of the price: on what is paid
for energy alone, or on the whole price less government funds. The rest (transport, fees, funds)
does not float, so that a multiplier is never laid on the whole price. Where the price of a band was
posted for a month, it holds in the season of that month.
"""

from __future__ import annotations

from computeplan.specs.catalogue.places import Band, Hours, Season, Tariff
from computeplan.specs.money import Money

__all__ = ["hourly_prices"]


def hourly_prices(
    tariff: Tariff, hours: Hours, funds: Money | None = None
) -> tuple[tuple[float, ...], ...]:
    """Return the price of electricity by month and hour, without the demand charge.

    Parameters
    ----------
    tariff : Tariff
        With the flat price.
    hours : Hours
        When which band is, and its multiplier.
    funds : Money, optional
        Government funds in the price, which never float. [currency/J]

    Returns
    -------
    tuple of 12 tuples of 24 floats
        From January and midnight. [currency of the tariff/J]

    Raises
    ------
    ValueError
        If the price of a band follows neither from a rule nor from what was posted.

    Examples
    --------
    >>> from computeplan.specs.catalogue.place_lookup import find_place
    >>> guizhou = find_place("guizhou")
    >>> found = hourly_prices(
    ...     guizhou.tariffs["110kv"], guizhou.hours["guizhou"], guizhou.components.funds.point
    ... )
    >>> [round(found[0][hour] * 3.6e6, 4) for hour in (3, 9, 11)]
    [0.2487, 0.5837, 0.9188]
    """
    rows = []
    for month in range(1, 13):
        season = hours.season_of(month)
        prices = {band: _price(tariff, hours, season, band, funds) for band in season.hours}
        rows.append(tuple(prices[season.band_at(hour)] for hour in range(24)))
    return tuple(rows)


def _price(tariff: Tariff, hours: Hours, season: Season, band: Band, funds: Money | None) -> float:
    flat = tariff.energy.point.amount
    posted = tariff.bands.get(band)
    if posted is not None and _month(posted.when) in season.months:
        return posted.point.amount
    if band == "flat":
        return flat
    times = season.multipliers.get(band)
    if times is not None and tariff.floating is not None:
        return flat + tariff.floating.point.amount * (times - 1.0)
    if times is not None and hours.floats == "user" and funds is not None:
        return funds.amount + (flat - funds.amount) * times
    if posted is not None:
        return posted.point.amount
    what = "its multiplier" if times is None else "what floats"
    raise ValueError(f"tariff of {tariff.area}: {what} is not known for the band '{band}'")


def _month(when: str) -> int:
    """Return the month of ``2025-06``, 0 of a year alone."""
    return int(when.partition("-")[2] or 0)
