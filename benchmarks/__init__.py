"""Benchmarks: figures as a ratio to a peer in the same run; nothing here is a test, and no test is timed."""
