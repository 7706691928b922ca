"""What the catalogue says in English, in Chinese: notes on names, remarks on published runs.

A text that stands in no file of the catalogue is a user's own, and stays as it is.
"""

from __future__ import annotations

__all__ = ["TEXTS", "in_chinese"]

TEXTS = {
    # names that stand for several chips or models
    "H100 is read as nvidia/h100-sxm (989 TFLOP/s bf16, 700 W); the PCIe card has 757 TFLOP/s and"
    " 350 W: nvidia/h100-pcie": "H100 按 nvidia/h100-sxm 处理（989 TFLOP/s bf16，700 W）；PCIe"
    " 卡为 757"
    " TFLOP/s、350 W：nvidia/h100-pcie",
    "A100 is read as nvidia/a100-80gb; the 40 GB part has the same peak and slower memory:"
    " nvidia/a100-40gb": "A100 按 nvidia/a100-80gb 处理；40 GB 版峰值相同，显存较慢："
    "nvidia/a100-40gb",
    "910B is read as huawei/ascend-910b2; 910B1, B2, B3 and B4 have 414, 376, 313 and 280 TFLOP/s"
    " fp16, so name the part": "910B 按 huawei/ascend-910b2 处理；910B1、B2、B3、B4 的 fp16"
    " 算力分别为"
    " 414、376、313、280 TFLOP/s，请写明型号",
    "Trainium is read as aws/trainium1; the second generation is aws/trainium2": "Trainium 按"
    " aws/trainium1 处理；第二代为 aws/trainium2",
    "Ascend 910 is read as the part of 2019 (256 TFLOP/s fp16); its successors are"
    " huawei/ascend-910b1 to -910b4 and -910c": "昇腾 910 按 2019 年的型号处理（fp16 256 TFLOP/s）"
    "；后续型号为"
    " huawei/ascend-910b1 至 -910b4 和 -910c",
    "Mixtral is read as mistral/mixtral-8x7b": "Mixtral 按 mistral/mixtral-8x7b 处理",
    "GPT-3 is read as its largest size, openai/gpt-3-175b": "GPT-3 按其最大规模 openai/gpt-3-175b"
    " 处理",
    "Mistral Large is read as mistral/mistral-large-2": "Mistral Large 按 mistral/mistral-large-2"
    " 处理",
    "GPT-2 is read as its smallest size, openai/gpt-2-124m": "GPT-2 按其最小规模"
    " openai/gpt-2-124m 处理",
    "Mistral 7B is read as version 0.1, whose layers see 4096 positions; versions 0.2 and 0.3 see"
    " all": "Mistral 7B 按 0.1 版处理，其各层只看 4096 个位置；0.2 与 0.3 版看全部位置",
    "BLOOM is read as its largest size, bigscience/bloom-176b": "BLOOM 按其最大规模"
    " bigscience/bloom-176b 处理",
    # fault mixes
    "mix llama3: counts of Table 5 of arXiv:2407.21783, not its percentages, which contradict them;"
    " its restarts and which causes take their node are assumptions, its repairs those of another"
    " fleet (InfiniteHBD-Trace)": "故障组合 llama3：取 arXiv:2407.21783 表 5 的次数，"
    "不取与之矛盾的百分比；"
    "重启时间以及哪些原因会使节点下线为假设，修复时间取自另一机群（InfiniteHBD-Trace）",
    # remarks on published runs
    "24.6 TFLOP/s of 6 FLOP a parameter and token, from production measurements; the number of"
    " chips"
    " is assumed in the source": "生产环境实测 24.6 TFLOP/s，按每参数每 token 6 FLOP 计；"
    "卡数为来源中的假设",
    "as the paper states it, 0.43 on 8,192 chips; whether attention is counted causal or full is"
    " not"
    " stated, which is 4 % at this length": "为论文所述，8,192 卡时为 0.43；"
    "论文未说明注意力按因果还是全量计，"
    "在此长度下相差 4 %",
    "fastest of nine layouts; with full recomputation": "九种并行策略中最快的；完全重计算",
    "fastest of six layouts; with full recomputation": "六种并行策略中最快的；完全重计算",
    "fastest of three layouts; with full recomputation": "三种并行策略中最快的；完全重计算",
    "figure of the 910B2, a build of the same die": "取自同一芯片的另一版本 910B2",
    "figure of the 910B2, a build of the same die; half of the memory bandwidth is not debited": (
        "取自同一芯片的另一版本 910B2；未扣除减半的显存带宽"
    ),
    "one node: no traffic between nodes": "单节点：没有节点间通信",
    "same dense peak as the H100 and its figure; the faster memory is not credited": "稠密峰值与"
    " H100"
    " 相同，取其数值；未计入更快的显存",
    "same die as the A100 40 GB and its figure; the faster memory is not credited": "与 A100 40 GB"
    " 为同一芯片，取其数值；未计入更快的显存",
    "same die as the A100 and its figure; the slower NVLink is not debited": "与 A100 为同一芯片，"
    "取其数值；未扣除较慢的 NVLink",
    "same die as the H100 and its figure; the slower NVLink is not debited": "与 H100 为同一芯片，"
    "取其数值；未扣除较慢的 NVLink",
    "the 150 TFLOP/s of the source counts recomputation; with full recomputation": "来源中的 150"
    " TFLOP/s 计入了重计算；完全重计算",
    "with full recomputation": "完全重计算",
    "with selective recomputation": "选择性重计算",
    # what set the power models, and errata of published energy
    "80 PLUS Titanium (supply)": "80 PLUS Titanium（电源）",
    "FlagPerf: A100 in an all-reduce (communication)": "FlagPerf：A100 做 all-reduce（通信）",
    "Kestrel: H100 under gpu-burn (compute)": "Kestrel：H100 运行 gpu-burn（计算）",
    "arXiv 2503.05804: power at checkpoints (load)": "arXiv 2503.05804：检查点期间的功率（负载）",
    "dgx-a100-all-reduce (host)": "dgx-a100-all-reduce（主机）",
    "the other caps of the same chip": "同一芯片的其余功率上限",
    "printed as 230 MWh, 101 t and 892 kL: tonnes and water are those of 287.8 MWh, which is 257"
    " MWh times the PUE of 1.12": "原文为 230 MWh、101 t、892 kL；其中吨数和水量对应 287.8 MWh，"
    "即 257 MWh 乘以 PUE 1.12",
}


def in_chinese(text: str) -> str:
    """Return a text of the catalogue, or several parted by semicolons, in Chinese.

    Examples
    --------
    >>> in_chinese("one node: no traffic between nodes; with full recomputation")
    '单节点：没有节点间通信；完全重计算'
    >>> in_chinese("measured by us")
    'measured by us'
    """
    if text in TEXTS:
        return TEXTS[text]
    first = max((known for known in TEXTS if text.startswith(f"{known}; ")), key=len, default="")
    if not first:
        return text
    return f"{TEXTS[first]}；{in_chinese(text.removeprefix(f'{first}; '))}"
