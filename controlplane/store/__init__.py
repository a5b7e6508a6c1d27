"""Tenants and desired state at rest: SQLite in WAL mode.

Rows live and die in this folder; domain types leave it.
Each function of this package is one transaction; what must be committed together is one function.
"""
