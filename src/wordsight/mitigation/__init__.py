"""Mitigation: a finding -> a better head."""
