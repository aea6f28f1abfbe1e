"""Mitigation: a finding -> a better head. What the commands need to know stands here, so that they need no PyTorch."""

METHODS = ("reweight", "mask", "project", "reweight+project")
#: What a mitigation's accuracies on unseen images say.
VERDICTS = ("better", "no evidence", "worse")
#: A group of fewer held-out images shows no change: no interval is computed with it.
LEAST = 10
