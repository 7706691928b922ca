"""One small scenario, as text and loaded: a job of 64 chips that takes some five days."""

import computeplan as cp
from computeplan.specs.documents.document import parse_document

SMALL = """\
computeplan: 1
name: small
sites:
  here:
    pue: 1.2
    price: 0.1 USD/kWh
    carbon: 400 g/kWh
    pools:
      a: {chip: nvidia/h100-sxm, chips: 64, spares: 1 nodes}
faults:
  gpu: {mtbf: 800 h, per: node, takes: node, restart: 10 min, repair: {expon: {mean: 20 h}}}
jobs:
  j:
    model: meta/llama-3.1-8b
    tokens: 200 Gtoken
    seq: 8192
    batch: 1 Mitoken
    chips: 64
    mfu: 0.4
    checkpoint: {every: 30 min, stall: 30 s}
exchange: {rate: 0.14 USD/CNY, on: 2026-11-01}
simulate: {runs: 100, seed: 3}
"""


def load_small(changes=None):
    return cp.load(parse_document(SMALL, "small.yaml").data).with_(changes or {})
