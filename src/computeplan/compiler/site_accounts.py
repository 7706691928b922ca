"""What a pool's energy, chips and time cost: prices, carbon and water of its site, compiled."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

from computeplan.notes import Note, note
from computeplan.specs.catalogue.chips import Chip
from computeplan.specs.catalogue.site_figures import SiteFigure
from computeplan.specs.chip_costs import ESTIMATED_KG_PER_CHIP_S, purchase_ends, purchase_price
from computeplan.specs.money import Money, MoneyRange, middle_of
from computeplan.specs.sites import Pool as PoolSpec
from computeplan.specs.sites import Site as SiteSpec
from computeplan.units import KWH_J

__all__ = ["accounts_of", "figures_of_chips", "notes_of_accounts"]

HIGH_PRICE_PER_J = {"USD": 1.0 / KWH_J, "CNY": 7.0 / KWH_J}
"""Prices of electricity above which a wrong unit is likelier, of MWh or cents; a choice."""
HIGH_CARBON_KG_PER_J = 2.0 / KWH_J
"""Carbon above which a wrong unit is likelier, about twice that of power from coal; a choice."""


def accounts_of(
    site: SiteSpec, spec: PoolSpec, chip: Chip, worth: Callable[[Money | None], float]
) -> dict[str, float]:
    """Return PUE, prices, carbon and water, by the fields of a compiled pool.

    `worth` tells a price in the currency of the scenario, nan for none.
    """
    life_s = 1.0 if spec.purchase is None else spec.purchase.life
    building_life_s = 1.0 if site.building_life is None else site.building_life
    residual = math.nan if site.residual_carbon is None else site.residual_carbon

    def known(value: float | str | None) -> float:
        return math.nan if value is None else float(value)

    return {
        "pue": site.pue,
        "money_per_j": worth(site.price),
        "kg_per_j": known(site.carbon),
        "rent_money_per_chip_s": worth(spec.rent),
        "sent_money_per_b": worth(site.uplink.price if site.uplink else None),
        "demand_money_per_w_month": worth(site.demand_charge),
        "purchase_money_per_chip_s": worth(purchase_price(spec.purchase, chip)) / life_s,
        "building_money_per_w_s": worth(middle_of(site.building)) / building_life_s,
        "embodied_kg_per_chip_s": known(
            ESTIMATED_KG_PER_CHIP_S[1] if spec.embodied == "estimate" else spec.embodied
        ),
        "market_kg_per_j": residual * (1 - site.green),
        "site_water_l_per_j": known(site.water_on_site),
        "grid_water_l_per_j": known(site.water_off_site),
    }


def figures_of_chips(name: str, site: SiteSpec, chips: Mapping[str, Chip]) -> Iterator[SiteFigure]:
    """Yield what is an estimate of the chips and the building of a site, beside its place."""
    if isinstance(site.building, MoneyRange):
        low, high = site.building.low.amount, site.building.high.amount
        yield SiteFigure("building", name, "written", (low + high) / 2, low, high)
    for pool_name, pool in site.pools.items():
        chip = chips[pool.chip]
        price, ends = purchase_price(pool.purchase, chip), purchase_ends(pool.purchase, chip)
        if price is not None and ends is not None:
            yield SiteFigure("purchase", chip.name, "reported", price.amount, *ends, pool_name)
        if pool.embodied == "estimate":
            low, value, high = ESTIMATED_KG_PER_CHIP_S
            yield SiteFigure("embodied", chip.name, "usual", value, low, high)


def notes_of_accounts(
    name: str, spec: PoolSpec, chip: Chip, site_name: str, site: SiteSpec
) -> list[Note]:
    """Return what is missing, hardly plausible or an estimate in the accounts of a pool."""
    notes = _of_site(site_name, site, spec)
    if spec.embodied == "estimate":
        ends = dict(zip(("low", "value", "high"), ESTIMATED_KG_PER_CHIP_S, strict=True))
        notes.append(note("embodied_is_estimate", pool=name, **ends))
    if spec.purchase is not None and spec.purchase.price == "reported":
        price, chip_price = chip.price.middle, chip.price
        if price is None:
            notes.append(note("no_reported_price", pool=name, chip=chip.name))
        else:
            low, high = chip_price.low, chip_price.high
            notes.append(
                note(
                    "price_is_reported",
                    pool=name,
                    chip=chip.name,
                    value=price.amount,
                    low=low.value.amount if low and low.value else price.amount,
                    high=high.value.amount if high and high.value else price.amount,
                    currency=price.currency,
                )
            )
    if site.demand_charge is not None:
        notes.append(note("demand_of_peak", site=site_name))
    if site.green and site.residual_carbon is None:
        notes.append(note("no_residual", site=site_name))
    return notes


def _of_site(name: str, site: SiteSpec, spec: PoolSpec) -> list[Note]:
    """Return what is missing or hardly plausible of a site's price and carbon."""
    notes, price = list[Note](), site.price
    if price is None and spec.rent is not None:
        notes.append(note("no_price", site=name))
    if price is not None and price.amount > HIGH_PRICE_PER_J[price.currency]:
        values = {"per_j": price.amount, "usual_per_j": HIGH_PRICE_PER_J[price.currency]}
        notes.append(note("price_is_high", site=name, currency=price.currency, **values))
    if site.carbon is not None and site.carbon > HIGH_CARBON_KG_PER_J:
        notes.append(
            note(
                "carbon_is_high",
                site=name,
                kg_per_j=site.carbon,
                usual_kg_per_j=HIGH_CARBON_KG_PER_J,
            )
        )
    return notes
