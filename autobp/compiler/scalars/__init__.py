"""Scalars: functions of many single numbers, compiled as programs of arrays."""
