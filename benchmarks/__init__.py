"""Benchmarks of ``ufm`` against its peers, on the same problems in the same run: ``python -m benchmarks``."""
