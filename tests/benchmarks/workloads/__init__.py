"""Programs of many kinds, each written once and run by autobp, PyTorch and JAX.

No rule and no pass is made for one of them: what helps only one does not belong into autobp.
"""
