"""Kernels: what is computed faster, or in less memory, in another way than by NumPy's one function."""
