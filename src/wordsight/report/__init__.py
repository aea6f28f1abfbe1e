"""Findings and word scores -> images and pages."""
