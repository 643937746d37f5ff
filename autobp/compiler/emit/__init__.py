"""Emit: a program as text, and where its arrays are in memory."""
