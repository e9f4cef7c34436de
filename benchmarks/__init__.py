"""Benchmarks: what CodeBatch costs, as ratios to the least that the same work can cost."""
