"""Findings and word scores -> pictures and pages."""
