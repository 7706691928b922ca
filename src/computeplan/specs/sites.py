"""Places and their pools of chips: PUE, price and carbon of the power, watts by state.

Long because all that a person writes below ``sites`` stands here once.
"""

from __future__ import annotations

import itertools
import re
from typing import Annotated, Literal, NamedTuple

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from computeplan.specs.chip_costs import Purchase
from computeplan.specs.durations import DurationLaw
from computeplan.specs.faults import FaultFactor
from computeplan.specs.fields import (
    AtLeastOne,
    Bandwidth,
    CarbonIntensity,
    Count,
    EmbodiedCarbon,
    Fraction,
    Frozen,
    HowWritten,
    Life,
    Name,
    PositiveDuration,
    Power,
    Pue,
    Share,
    SitePower,
    WaterUse,
    WholeNodes,
    instead,
    node_or_chip_count,
    refuse,
)
from computeplan.specs.money import BuildingPrice, DataPrice, DemandCharge, EnergyPrice, Rent
from computeplan.specs.power_limits import Battery
from computeplan.specs.varying import Varies
from computeplan.units import parse

__all__ = [
    "Network",
    "Placement",
    "Pool",
    "PowerWatts",
    "Retire",
    "Site",
    "SpareState",
    "Spares",
    "Throttle",
    "Uplink",
]


class PowerWatts(Frozen):
    """Watts of one chip by power state, at one meter; what is left out comes from the chip.

    Compute and comm are training, load is saving and restarting, wait is a job that holds the chip
    but lacks a node, idle is unallocated, repair is out of service.
    """

    tried = instead(
        ("tdp limit board", "the chip says it, and watts by state follow; or write compute: 620 W"),
        ("train training busy active max average", "write compute: 620 W"),
        ("save saving restart checkpoint", "write load: 100 W"),
        ("blocked stalled waiting", "write wait: 100 W"),
        ("host server overhead cpu fans", "write node_overhead: 3 kW, of one node"),
    )

    meter: Literal["chip", "accelerator", "node"] = "chip"
    """Where the watts are read: the chip alone, or with its share of the host."""
    compute: Power | None = None
    """While training; with comm, while it computes."""
    comm: Power | None = None
    """While training waits for communication; as compute if only that is given."""
    load: Power | None = None
    """While saving or restarting."""
    wait: Power | None = None
    """While the job is blocked."""
    idle: Power | None = None
    """While the chip is unallocated."""
    repair: Power | None = None
    """While its node is in repair."""
    node_overhead: Power | None = None
    """Hosts, fans and conversion of one node; only with meter: chip."""
    network: Power | None = None
    """Switches and optics, per node."""

    @model_validator(mode="after")
    def _says_compute(self) -> PowerWatts:
        if self.meter != "chip" and self.compute is None:
            refuse(
                f"meter: {self.meter} needs what a chip draws there: write compute: 900 W, and"
                " load, wait and idle where they are known"
            )
        if self.compute is not None and (self.idle or 0.0) > self.compute:
            refuse(f"compute is below idle: {self.compute:g} W and {self.idle:g} W")
        return self


class Network(Frozen):
    """How chips of different servers reach one another."""

    tried = instead(
        ("bandwidth rate speed nic per_gpu", "write per_chip: 400 Gbit/s"),
        ("latency", "latencies are among the fitted numbers of the links"),
        ("nvlink scale_up", "belongs to the chip: scale_up: {bandwidth: 450 GB/s}"),
    )

    per_chip: Bandwidth | None = None
    """Out of the scale-up domain, one direction, instead of the chip's own figure."""
    oversubscription: AtLeastOne = 1.0
    """Rate of all NICs over that of the network's core."""


class SpareState(NamedTuple):
    """Spares in one state: how many are kept in it, and how long until one of them can train."""

    amount: float
    unit: str
    ready_s: float


class Spares(NamedTuple):
    """Spares on top of a pool, those that are used first standing first."""

    spare_states: tuple[SpareState, ...]

    def n_nodes(self, chips_per_node: int) -> tuple[int, ...]:
        """Return the nodes in each state."""
        return tuple(
            int(state.amount if state.unit == "node" else state.amount // chips_per_node)
            for state in self.spare_states
        )


STATES = ("hot", "warm", "cold")
_SPARES = "{hot: {nodes: 2 nodes, ready: 10 s}, cold: {nodes: 30 nodes, ready: 2 h}}"


def _read_spares(value: object) -> Spares:
    if not isinstance(value, dict):
        return Spares((SpareState(*node_or_chip_count(value), 0.0),))
    if not value or not value.keys() <= set(STATES):
        refuse(f"must be a number of nodes such as '16 nodes', or by state, as {_SPARES}")
    spare_states = []
    for name in STATES:
        if name not in value:
            continue
        state = value[name]
        if not isinstance(state, dict) or state.keys() != {"nodes", "ready"}:
            refuse(f"{name}: needs nodes and ready, as in {_SPARES}")
        if not isinstance(state["ready"], str):
            refuse(f"{name}.ready needs a unit: write it like '5 min', not {state['ready']!r}")
        ready_s = parse(state["ready"], "s")
        if ready_s < 0:
            refuse(f"{name}.ready must be >= 0, got {state['ready']!r}")
        spare_states.append(SpareState(*node_or_chip_count(state["nodes"]), ready_s))
    if any(b.ready_s < a.ready_s for a, b in itertools.pairwise(spare_states)):
        refuse("a warmer spare must be ready sooner than a colder one")
    return Spares(tuple(spare_states))


def _read_faults(value: object) -> int:
    how = "must be a number of faults, such as '3 faults'"
    if not isinstance(value, str) or not re.fullmatch(r"[1-9][0-9]{0,5} faults?", value):
        refuse(f"{how}, not {value!r}")
    return int(value.split()[0])


class Retire(Frozen):
    """Nodes that are replaced for good when they have had too many faults."""

    after: Annotated[
        int,
        BeforeValidator(_read_faults),
        WithJsonSchema({"type": "string", "examples": ["3 faults"]}),
        HowWritten("fault", "3 faults"),
    ]
    """How many faults, of any kinds, that each sent the node to repair."""
    within: PositiveDuration
    """Time in which they came, from the first to the last."""
    replaced_in: DurationLaw
    """From the last of them until a new node stands in its place."""
    most: WholeNodes | None = None
    """Nodes retired in a run at most, such as 20 nodes; after that they are repaired."""


class Throttle(Frozen):
    """A speed of training that rises and falls with the time of day."""

    diurnal: Share
    """Share of the speed lost when it is hottest, 12 h after the start of the run, which is when
    it is coolest; half of it on average. Llama 3 saw 1 to 2 % (arXiv:2407.21783)."""


class Placement(Frozen):
    """How a pool chooses the nodes of a job, by the groups that they stand in."""

    tried = instead(
        ("strategy policy rule how mode prefer pack", "write by: fewest (or first, spread)"),
        (
            "slowdown penalty speed factor cost",
            "write across: 0.9, the share of its speed that a job has on more groups than it needs",
        ),
        ("rack switch level domain topology", "write group: rack, one of the pool's groups"),
    )

    group: Name
    """Which groups count: one of the pool's `groups`."""
    by: Literal["first", "fewest", "spread"] = "first"
    """The nodes that have been free longest; those on the fewest groups; or on the most."""
    across: Fraction = 1.0
    """Share of its speed that a job has while it lies on more groups than the least that could
    hold it. It depends on the network and on the job: no default but 1 has a source."""


class Pool(Frozen):
    """A number of identical chips in nodes, with spares on top."""

    tried = instead(
        (
            (
                "gpus num_gpus n_gpus gpu_count ngpus num_chips n_chips count size quantity npus"
                " accelerators devices chip_count"
            ),
            "write chips: 1024",
        ),
        (
            "gpu accelerator device type gpu_type chip_type model sku npu",
            "write chip: nvidia/h100-sxm (names: computeplan chips)",
        ),
        (
            "nodes num_nodes n_nodes node_count servers hosts",
            "a pool counts chips: chips: 1024, of which chips_per_node make a node",
        ),
        ("gpus_per_node gpus_per_server devices_per_node", "write chips_per_node: 8"),
        (
            "region site location zone country pue carbon carbon_intensity",
            "belongs to the site: sites.NAME: {pue: 1.2, carbon: 400 g/kWh, pools: {...}}",
        ),
        (
            "mtbf mttf mttr failure_rate fault_rate faults failures repair",
            (
                "faults stand at the top, for all pools or those named: faults: {NAME: {mtbf:"
                " 50 kh, per: chip, takes: node, restart: 10 min, repair: 20 h, pools: [...]}}"
            ),
        ),
        (
            "price cost cost_per_hour hourly_price price_per_hour rate",
            "write rent: 2.5 USD/chip/h (or 18 CNY/chip/h); the price of electricity is the site's",
        ),
        ("tdp watts power_w", "write power: {compute: 620 W, idle: 90 W}, or let the chip say"),
        (
            "bandwidth interconnect nic nics fabric link",
            "write network: {per_chip: 400 Gbit/s, oversubscription: 2}",
        ),
        ("spare_nodes hot_spares standby", "write spares: 2 nodes"),
        ("racks rack switches switch group domains", "write groups: {rack: 4 nodes}"),
        (
            "topology affinity locality consolidate pack",
            "write placement: {group: rack, by: fewest}, with groups: {rack: 4 nodes}",
        ),
        ("repair_crews technicians staff", "write crews: 2"),
        ("jobs job", "jobs stand at the top"),
        ("storage", "belongs to the site: sites.NAME.storage: 400 GB/s"),
        ("memory flops peak mfu", "the chip says it; for other figures: a chip of your own"),
    )

    chip: str
    """A chip of the catalogue, of the chips block, or a YAML file beside the scenario."""
    chips: Count
    """Chips that jobs can hold at one time."""
    spares: Annotated[
        Spares,
        BeforeValidator(_read_spares),
        WithJsonSchema(
            {"anyOf": [{"type": "string", "examples": ["16 nodes"]}, {"type": "object"}]}
        ),
        HowWritten("node", "16 nodes"),
    ] = Field(default="0 nodes", validate_default=True)
    """Spares on top of the pool, ready at once, or by state: {hot: {nodes: .., ready: 10 s}}."""
    chips_per_node: Count | None = None
    """Chips in one node; the chip's server if left out."""
    groups: dict[Name, WholeNodes] = Field(default_factory=dict)
    """Neighbours that can fail together, and by which jobs can be placed, such as {rack: 4 nodes,
    switch: 32 nodes}."""
    placement: Placement | None = None
    """How nodes are chosen for jobs, such as {group: rack, by: fewest}; those that have been free
    longest if left out."""
    crews: Count | None = None
    """Crews that repair nodes, one at a time each; without limit if left out."""
    retire: Retire | None = None
    """When a node is replaced by a new one instead of being repaired; never if left out."""
    network: Network = Network()
    """Links between servers."""
    throttle: Throttle | None = None
    """How the speed of training varies, such as {diurnal: 0.02}; constant if left out."""
    power: PowerWatts | None = None
    """Watts by power state instead of the chip's."""
    rent: Rent | None = None
    """Price of having one chip, used or idle, spares included, on top of the electricity."""
    purchase: Purchase | None = None
    """Price of chips that are bought, such as {price: 337500 CNY, life: 5 years}, in place of a
    rent."""
    embodied: EmbodiedCarbon | None = None
    """Carbon of making a chip with its share of the server, by the time of its life; estimate takes
    0.013 kg/chip/h, of 0.010 to 0.015."""
    fault_factor: FaultFactor | None = None
    """Times the rates that were observed on another chip: a number, or limits; assumed if not."""


class Uplink(Frozen):
    """How a site reaches others, and what that costs."""

    tried = instead(
        ("bandwidth speed per_job", "write rate: 100 Gbit/s"),
        ("cost egress per_gb fee", "write price: 0.05 USD/GB, of what leaves the site"),
        ("latency distance rtt", "of a mixed job: mixed: {distance: 1200 km}"),
    )

    rate: Bandwidth
    """For each job that moves or is at several sites."""
    price: DataPrice | None = None
    """Of what leaves the site; none is counted if left out."""


def _read_uplink(value: object) -> object:
    return value if value is None or isinstance(value, dict | Uplink) else {"rate": value}


def _read_pue(value: object) -> object:
    if value is None:
        refuse(
            "pue is missing: write pue: 1.2, or a place of the catalogue that says it, such as"
            " place: guizhou (names: computeplan sites)"
        )
    return value


class Site(Frozen):
    """A place with its power, and the pools that stand there."""

    tried = instead(
        (
            "region regions location country zone datacenter",
            "write place: guizhou, or give the site that name (names: computeplan sites)",
        ),
        (
            "chip chips gpu gpus num_gpus nodes num_nodes servers pool accelerators spares",
            "chips stand in pools: pools: {main: {chip: nvidia/h100-sxm, chips: 1024}}",
        ),
        (
            "electricity electricity_price energy_price power_price price_per_kwh cost",
            "write price: 0.08 USD/kWh (or 0.62 CNY/kWh)",
        ),
        (
            "tariff time_of_use tou hourly seasons weather temperature climate",
            "write varies: {price: time-of-use, carbon: carbon.csv, pue: outside}",
        ),
        (
            "carbon_intensity co2 co2e emissions grid_carbon ci",
            "write carbon: 400 g/kWh",
        ),
        ("rent rental", "belongs to a pool: pools.NAME.rent: 2.5 USD/chip/h"),
        (
            "power capacity mw power_cap limit",
            "write power_limit: 20 MW; the watts of chips are of pools: pools.NAME.power",
        ),
        ("bandwidth filesystem storage_bandwidth", "write storage: 400 GB/s"),
        ("wan link links egress", "write uplink: 100 Gbit/s, the bandwidth to other sites"),
        (
            "mtbf mttf mttr faults failures",
            "faults stand at the top: faults: {NAME: {mtbf: 50 kh, ...}}",
        ),
        ("currency exchange", "stands at the top of the file"),
        ("wue water", "write water_on_site: 0.2 L/kWh, and water_off_site of power stations"),
        ("demand max_demand peak_charge capacity_charge", "write demand_charge: 31 CNY/kW"),
        ("renewable green_share ppa rec certificates", "write green: 0.8, the contracted share"),
        ("capex construction shell facility_cost", "write building: 30000 CNY/kW, or usual"),
        ("market market_based residual", "write residual_carbon: 609.6 g/kWh, and green: 0.8"),
    )

    place: str | None = None
    """The place of the catalogue that says what is not written here; that of the site's own name
    if left out."""
    pue: Annotated[Pue, BeforeValidator(_read_pue)] = Field(default=None, validate_default=True)
    """Facility energy / IT energy; of the place if left out."""
    carbon: CarbonIntensity | None = None
    """Carbon of the grid, location based; of the place if left out; without it none is reported."""
    price: EnergyPrice | None = None
    """Price of electricity, or of the place: posted, contracted; without it no cost is reported."""
    demand_charge: DemandCharge | None = None
    """For the highest demand of each month, such as 31 CNY/kW; posted takes that of the place, and
    the posted price is then the one for energy alone."""
    building: BuildingPrice | None = None
    """Price of the building with its power and cooling for what chips draw at most at the IT, such
    as 30000 CNY/kW; usual takes what the catalogue has of the place, mostly a range."""
    building_life: Life | None = None
    """Over which it is used up, evenly."""
    green: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the electricity that is bought by contract as green power."""
    residual_carbon: CarbonIntensity | None = None
    """Carbon of what is bought without such a contract, market based; of the place if left out."""
    water_on_site: WaterUse | None = None
    """Water for cooling per energy of the IT; of the place if left out."""
    water_off_site: WaterUse | None = None
    """Water of power stations per energy of the site; of the place if left out."""
    varies: Varies = Varies()
    """How price, carbon and PUE go over the year and the day, such as {price: time-of-use, pue:
    outside}; flat if left out."""
    power_limit: SitePower | None = None
    """What the site may take from outside at the facility, such as 20 MW; without limit if left
    out."""
    over_limit: Literal["slow", "shrink", "pause"] | None = None
    """What jobs do where that is too little: slow, all of them alike; shrink, all elastic jobs give
    back nodes before others save and leave, and grow again with the power; or pause, each priority
    does both before the next. The lowest priority first; slow if left out."""
    battery: Battery | None = None
    """What stores energy below the limit for when it is too little: {energy: 40 MWh, power: 10 MW,
    efficiency: 0.9}."""
    storage: Bandwidth | None = None
    """Bandwidth at which jobs write and read checkpoints whose state is given; those that do so at
    one time share it evenly."""
    uplink: Annotated[
        Uplink | None,
        BeforeValidator(_read_uplink),
        WithJsonSchema(
            {
                "anyOf": [
                    {"type": "string", "examples": ["100 Gbit/s"]},
                    {"type": "object"},
                    {"type": "null"},
                ]
            }
        ),
        HowWritten("B/s", "100 Gbit/s"),
    ] = None
    """Bandwidth to other sites, for each job that moves; the slower one of two sites counts. With
    the price of what leaves the site: {rate: 100 Gbit/s, price: 0.05 USD/GB}. Moving takes no time
    where neither says it."""
    share_spares: bool = False
    """Whether spares stand in for nodes of any pool of the site with the same chip and nodes."""
    pools: dict[Name, Pool] = Field(min_length=1)
    """Pools by name; no two of a scenario have the same."""

    @model_validator(mode="after")
    def _has_limit(self) -> Site:
        if (self.building is None) != (self.building_life is None):
            refuse("building and building_life stand together: 30000 CNY/kW, 20 years")
        for key in ("over_limit", "battery"):
            if getattr(self, key) is not None and self.power_limit is None:
                refuse(f"{key} needs a limit: write power_limit: 20 MW")
        return self
