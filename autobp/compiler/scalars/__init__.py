"""Scalars: programs of many single numbers, written as programs of arrays."""
