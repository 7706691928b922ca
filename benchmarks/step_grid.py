"""How many layouts are priced per second: ``python benchmarks/step_grid.py``.

One case for all: MT-NLG 530B on 80 GB A100s, 1,920 sequences of 2,048 tokens, every combination of
tensor, pipeline, data and context parallelism, micro-batch, virtual stages, recomputation, sequence
parallelism and ZeRO stage that divides the batch. Each layout is priced in full, its step time in
eight parts and the memory of its fullest rank in six: by the package a block of layouts at a time,
and by ``scalar_step.py`` one at a time in plain floats. They alternate, round after round, so
that a busy machine slows them alike. NumPy does all of it on one core.

Then layouts of three models with experts on H100s, and the search of ``parallelism: auto`` for
the first model: 2,520 sequences, at most 5,128 chips.
"""

import gc
import statistics
from dataclasses import replace
from functools import partial

import numpy as np
import scalar_step
from timing import cpu_s, heading

from computeplan.compiler.hardware import device_of, fabric_of
from computeplan.compiler.software import software_of
from computeplan.physics.steptime.grid import all_layouts
from computeplan.physics.steptime.layout import Layout, Software
from computeplan.physics.steptime.memory import memory_of
from computeplan.physics.steptime.search import Choices, best_layouts
from computeplan.physics.steptime.step import Training, step_time
from computeplan.physics.steptime.transformer import shape_of
from computeplan.specs.catalogue.lookup import load_chip, load_model
from computeplan.specs.software import Switches

N_ROUNDS = 7
N_SCALAR = 3_000
BLOCK = 8_192  # an array of a block is 64 KiB: those in use at a time stay in a core's cache
SEED = 530
GOAL_PER_S, GOAL_RATIO, GOAL_EXPERTS_PER_S = 1_000_000, 20, 600_000

BATCH = 1_920
AUTO_BATCH, AUTO_CHIPS = 2_520, 5_128
TRAINING = Training(shape_of(load_model("mt-nlg-530b")[0].architecture()), seq=2_048, batch=BATCH)
CHIP = load_chip("nvidia/a100-80gb")[0]
DEVICE = device_of(CHIP, "bf16", "flash-2", "megatron-core").device
FABRIC = fabric_of(CHIP)[0]
SOFTWARE = Software()
HOPPER_CHIP = load_chip("nvidia/h100-sxm")[0]
HOPPER_SOFTWARE, KERNEL, _ = software_of(Switches(), chip=HOPPER_CHIP.name)
HOPPER = device_of(HOPPER_CHIP, "bf16", KERNEL, "megatron-core").device
HOPPER_FABRIC = fabric_of(HOPPER_CHIP)[0]
MIXTURES = ("mixtral-8x22b", "qwen3-235b-a22b", "deepseek-v3")
FACTS = scalar_step.facts_of(TRAINING)


def grid() -> Layout:
    """Return all layouts, each once, in arrays of one dimension."""
    axes = {
        "tp": [1, 2, 4, 8],
        "pp": [1, 3, 5, 7, 15, 21, 35, 105],
        "dp": [n for n in range(1, BATCH + 1) if BATCH % n == 0],
        "cp": [1, 2],
        "micro_batch": [1, 2, 4, 8],
        "pieces": [1, 3, 5, 7],
        "recompute": [0, 1, 2],
        "sequence_parallel": [0, 1],
        "zero": [0, 1, 2, 3],
    }
    columns = np.meshgrid(*(np.array(axis, dtype=np.float64) for axis in axes.values()))
    rows = {name: column.ravel() for name, column in zip(axes, columns, strict=True)}
    divides = BATCH % (rows["dp"] * rows["micro_batch"]) == 0
    staged = (rows["pp"] > 1) | (rows["pieces"] == 1)
    kept = {name: column[divides & staged] for name, column in rows.items()}
    return Layout.of(**kept, ep=np.ones_like(kept["tp"]))


LAYOUTS = grid()
N_LAYOUTS = LAYOUTS.tp.size
COLUMNS = np.column_stack(
    [np.broadcast_to(getattr(LAYOUTS, name), N_LAYOUTS) for name in scalar_step.Split._fields]
)
CHOSEN = np.sort(np.random.default_rng(SEED).choice(N_LAYOUTS, N_SCALAR, replace=False))
SPLITS = [scalar_step.Split(*row) for row in COLUMNS[CHOSEN].tolist()]


def price_in_blocks() -> tuple[np.ndarray, np.ndarray]:
    """Return seconds and bytes of all layouts."""
    step_s, held_bytes = np.empty(N_LAYOUTS), np.empty(N_LAYOUTS)
    for start in range(0, N_LAYOUTS, BLOCK):
        block = slice(start, start + BLOCK)
        layouts = LAYOUTS.at(block)
        step_s[block] = step_time(TRAINING, DEVICE, FABRIC, layouts, SOFTWARE).step_s
        held_bytes[block] = memory_of(TRAINING, layouts, SOFTWARE).total
    return step_s, held_bytes


def price_one_by_one() -> list[tuple[float, float]]:
    """Return seconds and bytes of the chosen layouts."""
    return [
        (
            sum(scalar_step.step_parts(TRAINING, DEVICE, FABRIC, split, SOFTWARE, FACTS).values()),
            sum(scalar_step.memory_parts(TRAINING, split, SOFTWARE, FACTS).values()),
        )
        for split in SPLITS
    ]


def with_experts(model: str) -> tuple[Training, list[Layout]]:
    """Return layouts of a model with experts on at most 512 ranks, in blocks."""
    training = Training(shape_of(load_model(model)[0].architecture()), seq=4_096, batch=1_024)
    found = all_layouts(training.shape, training.seq, training.batch, 512, HOPPER_FABRIC.domain)
    whole = Layout.concatenate(list(found))
    blocks = range(0, whole.tp.size, BLOCK)
    return training, [whole.at(slice(start, start + BLOCK)) for start in blocks]


def price_experts(training: Training, blocks: list[Layout]) -> None:
    """Price layouts of a model with experts on H100s."""
    for layouts in blocks:
        step_time(training, HOPPER, HOPPER_FABRIC, layouts, HOPPER_SOFTWARE)
        memory_of(training, layouts, HOPPER_SOFTWARE)


def search() -> Choices:
    """Return what `auto` finds."""
    asked = replace(TRAINING, batch=AUTO_BATCH)
    return best_layouts(asked, DEVICE, FABRIC, AUTO_CHIPS, SOFTWARE)


def in_words(values: list[float], unit: str = "") -> str:
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:,.0f}{unit} ({low:,.0f} to {high:,.0f})"


def main() -> None:
    assert len(np.unique(COLUMNS, axis=0)) == N_LAYOUTS, "a layout is priced twice"
    price_in_blocks()  # warms up caches
    gc.freeze()  # what was imported is no garbage, and need not be looked at
    mixtures = {name: with_experts(name) for name in MIXTURES}
    experts_per_s: dict[str, list[float]] = {name: [] for name in MIXTURES}
    ours_per_s, scalar_per_s, search_ms = [], [], []
    for _ in range(N_ROUNDS):
        took_s, ours = cpu_s(price_in_blocks)
        ours_per_s.append(N_LAYOUTS / took_s)
        took_s, scalar = cpu_s(price_one_by_one)
        scalar_per_s.append(N_SCALAR / took_s)
        took_s, found = cpu_s(search)
        search_ms.append(1e3 * took_s)
        for name, (training, blocks) in mixtures.items():
            took_s, _ = cpu_s(partial(price_experts, training, blocks))
            experts_per_s[name].append(sum(block.tp.size for block in blocks) / took_s)
    faster = [ours / scalar for ours, scalar in zip(ours_per_s, scalar_per_s, strict=True)]
    apart = np.abs(np.column_stack(ours)[CHOSEN] / np.array(scalar) - 1).max()
    print(
        heading("computeplan", "numpy")
        + f"\n\nCPU time of one process, median of {N_ROUNDS} interleaved rounds (lowest to"
        f" highest).\n{N_LAYOUTS:,} layouts in blocks of {BLOCK:,}; step time and memory of each."
        "\n\n"
        "| what | layouts per second | goal |\n"
        "|---|---|---|\n"
        f"| the package, in blocks | {in_words(ours_per_s)} | at least {GOAL_PER_S:,} |\n"
        f"| plain floats, {N_SCALAR:,} of them one by one | {in_words(scalar_per_s)} | |\n"
        f"| ratio | {in_words(faster)} | at least {GOAL_RATIO} |\n"
        + "".join(
            f"| with experts: {name} on H100s | {in_words(per_s)} | at least"
            f" {GOAL_EXPERTS_PER_S:,} |\n"
            for name, per_s in experts_per_s.items()
        )
        + "\n"
        f"The two agree on all {N_SCALAR:,}: seconds and bytes are {apart:.0e} apart at most.\n\n"
        f"`parallelism: auto` with {AUTO_BATCH:,} sequences on at most {AUTO_CHIPS:,} chips:"
        f" {found.n_priced:,} layouts looked at, {found.n_fitting:,} fit,"
        f" {in_words(search_ms, ' ms')} of CPU."
    )


if __name__ == "__main__":
    main()
