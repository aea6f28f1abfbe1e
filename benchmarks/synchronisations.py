"""How frequently the sampler would wait for a GPU: operations whose result the processor looks at, counted without one.

    python benchmarks/synchronisations.py PHOTOGRAPHS [--base ../before/src]

16 photographs, 48 sentences each, together. ``nonzero`` and ``item`` wait for all that a GPU was asked for; some are of tensors
that lie on the processor anyway. A checkout that has another batch of logits for GPUs is counted with that one.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from torch.profiler import ProfilerActivity, profile

from provenance import provenance
from wordsight.explain import Explainer
from wordsight.features.extraction import extract
from wordsight.images.files import find_images
from wordsight.sentences import tree
from wordsight.sentences.sampler import sample
from wordsight.sentences.sampling import Sampling

#: ``topk``: how many batches of logits there are, not a wait.
COUNTED = ("aten::nonzero", "aten::_local_scalar_dense", "aten::topk")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--base", type=Path, help="The src folder of another checkout, counted first.")
    options = parser.parse_args()
    if options.base:
        environment = os.environ | {"PYTHONPATH": str(options.base)}
        subprocess.run([sys.executable, __file__, str(options.photographs)], env=environment, check=True)
    tree._HEAD_ROWS = getattr(tree, "_HEAD_ROWS_GPU", tree._HEAD_ROWS)
    explainer = Explainer()
    paths = find_images([options.photographs])[:16]
    prefix = explainer.models.prefix(extract(explainer.classifier, paths).views.mean(1))
    with profile(activities=[ProfilerActivity.CPU]) as found:
        sample(explainer.models.lm, prefix, Sampling(sentences=48), seeds=range(len(paths)), memory=8 << 30)
    counts = {event.key: event.count for event in found.key_averages() if event.key in COUNTED}
    print(f"{tree.__file__}: {counts}, {provenance()}")


if __name__ == "__main__":
    main()
