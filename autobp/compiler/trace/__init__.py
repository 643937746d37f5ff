"""Trace: a function run once, on tracers that record what is done to them."""
