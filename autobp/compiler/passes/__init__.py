"""Passes: functions from programs to programs that compute the same."""
