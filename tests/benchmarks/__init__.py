"""Speed, as ratios to other projects measured in the same process: `python -m tests.benchmarks`."""
