"""Audit: labelled images, their words and the classifier's decisions -> findings."""
