"""Mitigation: a finding -> a better head. What the commands need to know stands here, so that they need no PyTorch."""

METHODS = ("reweight", "mask", "project", "reweight+project")
