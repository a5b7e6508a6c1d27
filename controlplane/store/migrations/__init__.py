"""The schema, step by step. Revisions are four digits in a row, so that newer and older can be told apart."""

SCHEMA = "0003"
"""The revision this program reads and writes; a test holds it against the newest script."""
