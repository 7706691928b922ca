"""A chat service of a small model, beside nothing or beside jobs and faults, as data."""

DAY = 86_400.0
STATES = ("serving", "starting", "draining", "standing_by")
PHASES = ("train", "lost", "save", "restart", "blocked")


def data_of(**service):
    """Return a scenario: a model of 8B on one chip an instance, four servers of eight."""
    chat = {
        "model": "meta/llama-3.1-8b",
        "requests": {"per_s": 20, "tokens": {"in": 400, "out": 100, "cv": 0.5}},
        "slo": {"ttft_p99": "1 s", "tpot_p99": "30 ms"},
        "pools": {"a": {"engine": "vllm", "precision": "fp8", "kv": "fp8", "layout": "tp1"}},
    }
    pool = {"chip": "nvidia/h100-sxm", "chips": 32}
    return {
        "computeplan": 1,
        "name": "chat",
        "sites": {
            "s": {
                "pue": 1.2,
                "price": "0.1 USD/kWh",
                "carbon": "400 g/kWh",
                "pools": {"a": pool},
            }
        },
        "services": {"chat": {**chat, **service}},
        "simulate": {"horizon": "1 d", "runs": 1},
    }


def with_faults(data, mtbf="400 h"):
    data["faults"] = {
        "gpu": {"mtbf": mtbf, "per": "chip", "takes": "node", "restart": "10 min", "repair": "9 h"}
    }
    return data


def lending():
    data = with_faults(
        data_of(
            requests={
                "per_s": 400,
                "tokens": {"in": 400, "out": 100, "cv": 0.5},
                "day": {"peak": 1.8, "at": "12 h"},
            },
            scale={"start": "5 min", "drain": "2 min"},
            priority=9,
            lend=True,
        ),
        "4000 h",
    )
    job = {"chips": 16, "train_for": "3 d", "checkpoint": {"every": "1 h", "stall": "20 s"}}
    data["jobs"] = {"j": {**job, "elastic": {"replicas": 2, "least": 1, "resize": "20 s"}}}
    data["policy"] = "elastic-fifo"
    data["simulate"] = {"horizon": "3 d", "runs": 4}
    return data
