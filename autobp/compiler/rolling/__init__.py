"""Rolling: loops are found again in the straight-line program that a trace of them is."""
