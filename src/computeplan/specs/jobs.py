"""A training run: its model, its work, the chips it wants and how it saves.

Long because a job has many keys, each with what people try instead.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, get_args

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from computeplan.specs.checkpoints import Checkpoint
from computeplan.specs.durations import UncertainDuration
from computeplan.specs.elastic import Mixed, OnLoss, Shrink
from computeplan.specs.fields import (
    Bytes,
    Count,
    Duration,
    FlopAmount,
    Frozen,
    Name,
    PositiveDuration,
    Tokens,
    instead,
    refuse,
    said_once,
)
from computeplan.specs.software import Switches, read_framework
from computeplan.specs.uncertain import UncertainFlopPerSecond, UncertainFraction

__all__ = ["Checkpoint", "Data", "FullLayers", "Job", "ModelName", "Module", "Parallelism"]


Module = Literal[
    "core_attn",
    "norms",
    "layernorm",
    "mla_up_proj",
    "activation",
    "moe_act",
    "mlp",
    "shared_experts",
    "moe",
    "second_products",
]


class FullLayers(Frozen):
    """Full recomputation of some layers only."""

    full: Count
    """Layers of each stage, or virtual stage, that are computed again; the first ones."""


MAX_STAGES_TEXT = 10_000


def _read_recompute(value: object) -> object:
    words, modules = ("none", "selective", "full"), get_args(Module)
    if isinstance(value, list) and value and all(name in modules for name in value):
        return tuple(value)
    if isinstance(value, dict) and set(value) == {"full"} and isinstance(value["full"], int):
        return FullLayers(full=value["full"])
    if value in words or isinstance(value, tuple | FullLayers):
        return value
    return refuse(
        f"must be one of {', '.join(words)}; {{full: 4}} for so many layers of each stage; or a"
        f" list of {', '.join(modules)}; not {value!r}"
    )


class Parallelism(Frozen):
    """How a job is split over ranks; tp x pp x dp x cp ranks in all."""

    tried = instead(
        (
            "tensor tensor_parallel tensor_parallelism tp_size tensor_model_parallel_size",
            "write tp: 8",
        ),
        (
            "pipeline pipeline_parallel pipeline_parallelism pp_size pipeline_model_parallel_size",
            "write pp: 4",
        ),
        ("data data_parallel data_parallelism dp_size replicas", "write dp: 32"),
        ("context context_parallel cp_size context_parallel_size", "write cp: 2"),
        ("expert experts expert_parallel ep_size expert_model_parallel_size", "write ep: 8"),
        ("sp", "write sequence_parallel: true"),
        ("mbs micro_batch_size microbatch", "write micro_batch: 1, in sequences"),
        ("vpp vp virtual_pipeline interleave interleaved", "write virtual_stages: 2"),
        (
            "recomputation activation_checkpointing activation_recompute gradient_checkpointing",
            "write recompute: full (or selective, none, {full: 4}, [norms, activation])",
        ),
        (
            "pipeline_model_parallel_layout pipeline_layout pp_layout",
            'write stages: "Et*3|(tt|)*29,m|L"',
        ),
        (
            "num_layers_in_first_pipeline_stage decoder_first_pipeline_num_layers",
            "write first_stage_layers: 3",
        ),
        (
            "num_layers_in_last_pipeline_stage decoder_last_pipeline_num_layers",
            "write last_stage_layers: 2",
        ),
        (
            "recompute_modules recompute_granularity recompute_num_layers recompute_method",
            "write recompute: [norms, activation], or {full: 4}",
        ),
        (
            "cpu_offload offload_optimizer cpu_offloading optimizer_cpu_offload host_offload",
            "write offload: inputs (or optimizer, both)",
        ),
        ("fsdp zero3", "write zero: 3"),
        ("hsdp", "write zero: 3 and shard: 64, the ranks that share out the weights"),
        (
            "gradient_accumulation grad_accum accumulation_steps num_microbatches",
            "follows from the batch: sequences / (dp x micro_batch)",
        ),
    )

    tp: Count = 1
    """Tensor parallel ranks."""
    pp: Count = 1
    """Pipeline stages."""
    dp: Count = 1
    """Data parallel replicas."""
    cp: Count = 1
    """Context parallel ranks."""
    ep: Count = 1
    """Expert parallel ranks, among those of tp, cp and dp."""
    etp: Count = 1
    """Ranks that cut every expert."""
    micro_batch: Count = 1
    """Sequences that go through the pipeline at a time."""
    virtual_stages: Count = 1
    """Pieces of a pipeline stage that take turns (interleaving)."""
    recompute: Annotated[
        Literal["none", "selective", "full"]
        | Annotated[tuple[Module, ...], Field(min_length=1)]
        | FullLayers,
        BeforeValidator(_read_recompute),
    ] = "none"
    """What the backward pass computes again: nothing, what the framework means by selective, whole
    layers, some of each stage ({full: 4}), or modules ([norms, mla_up_proj, activation])."""
    offload: Literal["none", "inputs", "optimizer", "both"] = "none"
    """What lies in the memory of the host: inputs of layers, the optimizer's state, or both."""
    sequence_parallel: bool = True
    """Whether what stands between matrix products is cut along the sequence too."""
    zero: Annotated[int, Field(ge=0, le=3)] = 1
    """What data parallel ranks share out: 0 nothing, 1 optimizer, 2 gradients, 3 weights (FSDP)."""
    shard: Count | None = None
    """Ranks that share out the weights with zero 3, if not all (HSDP)."""
    first_stage_layers: Count | None = None
    last_stage_layers: Count | None = None
    """Layers on the first and the last stage, if not as many as on the others."""
    stages: Annotated[str, Field(max_length=MAX_STAGES_TEXT)] | None = None
    """Layers of every stage, as Megatron-LM writes them: "Et*3|(tt|)*29,m|L" (E embedding, t layer,
    m extra prediction layer, L loss), a part for every stage and virtual stage."""
    schedule: Literal["1f1b", "zb-h1", "zb-h2", "dualpipe"] = "1f1b"
    """Of the pipeline; 1f1b is interleaved where there are virtual stages."""

    @property
    def n_ranks(self) -> int:
        """Number of ranks."""
        return self.tp * self.pp * self.dp * self.cp


def _read_parallelism(value: object) -> object:
    if isinstance(value, str) and value != "auto":
        refuse(f"must be auto or a mapping such as {{tp: 8, pp: 16, dp: 128}}, not {value!r}")
    return value


def _read_on_loss(value: object) -> object:
    if isinstance(value, str) and value != "wait":
        refuse(f"must be wait, or {{shrink: {{replicas: 128, resize: 5 min}}}}, not {value!r}")
    return value


def _read_model(value: object) -> object:
    if not isinstance(value, dict):
        return value
    path = value.get("config")
    if set(value) != {"config"} or not isinstance(path, str) or not path.endswith(".json"):
        refuse(
            "a mapping here has one key: {config: my-model/config.json}, a Hugging Face config.json"
            " beside the scenario"
        )
    return path


ModelName = Annotated[
    str,
    BeforeValidator(_read_model),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "properties": {"config": {"type": "string", "pattern": "\\.json$"}},
                    "required": ["config"],
                    "additionalProperties": False,
                },
            ],
            "examples": ["llama-3.1-8b", {"config": "my-model/config.json"}],
        }
    ),
]


class Data(Frozen):
    """What a job trains on, and where it lies."""

    size: Bytes
    """All of it, such as 200 TB."""
    at: Name
    """The site that has it when a run begins."""


class Job(Frozen):
    """One training run: on one kind of chip at a time, or mixed; all chips or none."""

    alternatives: ClassVar[tuple[tuple[frozenset[str], ...], ...]] = (
        (frozenset({"tokens"}), frozenset({"train_for"}), frozenset({"work"})),
        (frozenset({"mfu"}), frozenset({"achieved"}), frozenset({"step"})),
    )
    tried = instead(
        (
            (
                "requests request_rate qps rps queries users prompts prompt_tokens output_tokens"
                " ttft tpot itl slo latency latency_p99 concurrency serving inference throughput"
            ),
            (
                "a job is a training run, with tokens, train_for or work; requests come to a"
                " service: services.NAME.requests"
            ),
        ),
        (
            (
                "pool pools cluster clusters site sites region regions node_pool partition queue"
                " placement resources"
            ),
            (
                "the policy chooses the pool; only: [POOL] pins a job, never: [POOL] bars it, and"
                " home: POOL is for a policy that keeps jobs at home"
            ),
        ),
        (
            "chip gpu gpu_type accelerator device hardware",
            "the kind of chip is the pool's; only: [910b2, h100] pins a job to kinds, in order",
        ),
        (
            (
                "gpus num_gpus n_gpus gpu_count ngpus num_chips n_chips world_size nodes num_nodes"
                " n_nodes workers npus accelerators"
            ),
            "write chips: 1024, how many chips the job wants",
        ),
        (
            "batch_size global_batch global_batch_size gbs",
            "write batch: 4 Mitoken, the tokens of a step: sequences times seq",
        ),
        (
            (
                "tp pp dp cp ep zero micro_batch micro_batch_size mbs virtual_stages recompute"
                " tensor_parallel pipeline_parallel data_parallel fsdp layout strategy"
            ),
            "stands in parallelism: {tp: 8, pp: 4, dp: 32}, or parallelism: auto",
        ),
        (
            "seq_len seq_length sequence_length context context_length max_seq_len seqlen",
            "write seq: 8192, the tokens of a sequence",
        ),
        ("dtype data_type quantization", "write precision: bf16 (or fp16, fp8, tf32, fp32)"),
        (
            "steps iterations train_steps max_steps epochs dataset dataset_size",
            "write tokens: 2 Ttoken, the tokens to train on (steps times batch)",
        ),
        ("duration time hours days runtime length", "write train_for: 30 d, training that is kept"),
        ("flops flop compute", "write work: 3.8e25 FLOP"),
        ("utilization utilisation efficiency hfu", "write mfu: 0.4"),
        (
            "checkpoints checkpoint_interval checkpoint_every save_interval save_every saving",
            "write checkpoint: {every: 30 min, stall: 5 s}",
        ),
        ("start submit submitted start_time arrival_time after", "write arrival: 2 d"),
        ("due due_by until end finish_by", "write deadline: 60 d, from the arrival"),
        (
            "preemptible preemption weight",
            (
                "write priority: 2, and a policy at the top that heeds it, such as priority;"
                " weights and quotas are of tenants"
            ),
        ),
        ("user team owner project", "write tenant: NAME"),
        ("alternatives chips_allowed pinned pin", "write only: [910b2, h100], in order"),
        ("barred exclude not_on forbidden", "write never: [910b2]"),
        ("policy scheduler", "stands at the top: policy: NAME"),
        (
            "mtbf faults failures failure_rate mttr fault_rate",
            "faults are of pools: faults: {NAME: {mtbf: 50 kh, per: chip, ...}} at the top",
        ),
        (
            "parameters params n_params size layers hidden",
            "the model has it: model: meta/llama-3.1-70b, or one of your own under models",
        ),
        ("on_failure on_fault", "write on_loss: {shrink: {replicas: 128, resize: 5 min}}"),
        (
            "min_chips max_chips min_gpus max_gpus min_nodes max_nodes min_replicas max_replicas",
            "write elastic: {replicas: 16, least: 4, resize: 5 min}; chips are the most it holds",
        ),
        (
            "cost price budget rent",
            "prices are of sites and pools: sites.NAME.price, pools.NAME.rent",
        ),
        ("software backend", "write framework: Megatron-LM"),
        (
            "dispatcher expert_overlap graphs grouped cuda_graphs",
            "stands in framework: {name: Megatron-Bridge, dispatcher: hybridep, graphs: full}",
        ),
    )

    model: ModelName | None = None
    """A model of the catalogue or of the models block, its YAML, or {config: its/config.json}."""
    tokens: Tokens | None = None
    """Work as tokens to train on."""
    train_for: PositiveDuration | None = None
    """Work as kept training time, on whichever pool the job runs."""
    work: FlopAmount | None = None
    """Work as model FLOPs."""
    batch: Tokens | None = None
    """Tokens per step; rounded to whole sequences, with a note."""
    seq: Count | None = None
    """Tokens per sequence."""
    precision: Literal["bf16", "fp16", "fp8", "tf32", "fp32"] = "bf16"
    """Precision of the matrix products; chooses the dense peak that MFU refers to."""
    parallelism: (
        Annotated[Parallelism | Literal["auto"], BeforeValidator(_read_parallelism)] | None
    ) = None
    """Ranks by kind, or auto for the best layout that fits; prices steps. Where mfu, achieved or
    step is given, that is the speed, and the price of the layout a check of it."""
    chips: Count | None = None
    """Chips the job wants; follows from parallelism where that is given."""
    framework: Annotated[
        Switches | None,
        BeforeValidator(read_framework),
        WithJsonSchema(
            {"anyOf": [{"type": "string"}, {"type": "object"}], "examples": ["Megatron-Bridge"]}
        ),
    ] = None
    """Training software whose switches price the step: a name such as Megatron-Bridge, or
    {name: Megatron-Bridge, date: 2026-05, dispatcher: hybridep, expert_overlap: true, graphs: full,
    grouped: fused}; what is left out is usual with it."""
    mtp: Annotated[int, Field(ge=0, le=100)] = 0
    """Extra prediction layers that are trained too."""
    mfu: UncertainFraction | dict[Name, UncertainFraction] | None = None
    """Model FLOPs utilisation, one number or one by pool: 0.41, or 0.40 +- 0.03 (its 5 % and 95 %
    points) where it is not known exactly; else priced, or as measured elsewhere."""
    achieved: UncertainFlopPerSecond | None = None
    """Model FLOP/s per chip, instead of mfu, such as 400 +- 20 TFLOP/s."""
    step: UncertainDuration | None = None
    """Time of one step, instead of mfu: 22.3 s, or with its 5 % and 95 % points {lognormal:
    {p5: 17.3 s, p95: 28.8 s}}."""
    checkpoint: Checkpoint | None = None
    """How it saves; must be said where anything can fail or stop."""
    on_loss: Annotated[OnLoss | Literal["wait"], BeforeValidator(_read_on_loss)] = "wait"
    """When nodes are lacking and no spare is idle: wait, or shrink to the replicas left."""
    elastic: Shrink | None = None
    """A policy such as elastic-fifo may let it hold fewer chips, down to those of `least` replicas;
    it goes on with fewer also when nodes are lacking."""
    mixed: Mixed | None = None
    """A policy such as mixed-fifo may let it run on nodes of several pools at once, which train at
    a share of the sum of what they train apart: {efficiency: 0.9}."""
    data: Data | None = None
    """What it trains on, such as {size: 200 TB, at: SITE}: the first start at another site waits
    for it, with its chips held."""
    arrival: Duration = 0.0
    """When the job is submitted, from the start of the simulation."""
    deadline: PositiveDuration | None = None
    """When it should have ended, from its arrival."""
    home: Name | None = None
    """The only pool on which policy silo may run it."""
    tenant: Name | None = None
    """Who it belongs to."""
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    """The higher, the sooner, under a policy that heeds it."""
    only: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Pools or kinds of chips that it may run on, in order of preference."""
    never: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Pools or kinds of chips that it may not run on."""
    ready: dict[str, Annotated[float, Field(ge=0, le=1)]] | None = None
    """How ready its software is, by pool or kind of chip: the share of the speed that it would
    have; 0 where it is not ported."""

    @property
    def layout(self) -> Parallelism | None:
        """The layout by numbers; None if there is none or it is to be found."""
        return self.parallelism if isinstance(self.parallelism, Parallelism) else None

    @property
    def shrink(self) -> Shrink | None:
        """How it goes on with fewer replicas; None if it does not."""
        return self.on_loss.shrink if isinstance(self.on_loss, OnLoss) else self.elastic

    @property
    def n_replicas(self) -> int | None:
        """Replicas that the job can lose one by one; None if they are not known."""
        said = self.shrink.replicas if self.shrink else None
        return said or (self.layout.dp if self.layout else None)

    @property
    def is_priced(self) -> bool:
        """Whether the time of its steps is computed, rather than given or measured elsewhere."""
        return self.parallelism is not None and self.model is not None and not self.gives_speed

    @property
    def gives_speed(self) -> bool:
        """Whether it says how fast it trains."""
        return not (self.mfu is None and self.achieved is None and self.step is None)

    @model_validator(mode="after")
    def _consistent(self) -> Job:
        what = "state the work once, as tokens, train_for or work"
        said_once(self, what, "tokens", "train_for", "work")
        speeds = [key for key in ("mfu", "achieved", "step") if getattr(self, key) is not None]
        if len(speeds) > 1:
            refuse(f"{' and '.join(speeds)} give the same value twice; keep one")
        if self.chips is None and self.parallelism in (None, "auto"):
            refuse("chips is missing: how many chips the job wants (or parallelism by numbers)")
        if self.tokens is not None and self.model is None:
            refuse("model is missing: tokens need a model to know the FLOPs of one")
        if self.model is not None and self.seq is None:
            refuse("seq is missing: the FLOPs of a token depend on the sequence length")
        if self.step is not None and (self.model is None or self.batch is None):
            refuse("step needs model and batch: how much work a step is")
        if self.is_priced and self.batch is None:
            refuse("batch is missing: parallelism prices a step, which needs it; give it, or mfu")
        if self.parallelism == "auto" and self.model is None:
            refuse("model is missing: parallelism: auto looks for the fastest layout of a model")
        return self

    @model_validator(mode="after")
    def _replicas(self) -> Job:
        if self.shrink is None:
            return self
        if self.elastic and self.on_loss != "wait":
            refuse("elastic says how it goes on with fewer replicas; leave out on_loss")
        at = "elastic" if self.elastic else "on_loss.shrink"
        n, least, layout = self.n_replicas, self.shrink.least, self.layout
        if n is None:
            refuse(
                f"{at}.replicas is missing: how many data parallel replicas the job has"
                " (or parallelism by numbers)"
            )
        if layout and layout.dp % n:
            refuse(f"{at}.replicas must divide the dp of parallelism, {layout.dp}: {n}")
        if layout and layout.ep * n > layout.n_ranks // layout.pp:
            refuse(
                f"each set of experts lies on {layout.ep} ranks, more than the"
                f" {layout.n_ranks // layout.pp // n} of a replica, so none can be lost alone;"
                f" give {at} fewer, larger replicas"
            )
        if least > n:
            refuse(f"{at}.least must be <= {n}, the replicas of the job, got {least}")
        return self
