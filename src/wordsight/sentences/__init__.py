"""Prefix -> sentences."""
