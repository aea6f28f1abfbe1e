"""Prefix -> sentences."""

#: Memory for the language model's keys and values by default, in MiB. With it 5,000 sentences of the starter's language model
#: take no more memory than ``generate`` in its best batches (benchmarks/engine.py). Here, so that the commands need no PyTorch.
MEMORY_MIB = 320
