"""Graphs drawn: pictures by Graphviz."""
