"""Sequences without an end: a model that goes on step by step, and how far back it remembers.

    stages   what each layer does with the next steps
    warmup   stream_warmup: how many steps must be replayed to go on from nothing
    stream   Stream: many sequences at once, each at its own state; made by `Sequential.stream`

What this folder is not: it trains nothing.
"""

from minilstm.streams.stream import Stream
from minilstm.streams.warmup import Warmup, stream_warmup

__all__ = ["Stream", "Warmup", "stream_warmup"]
