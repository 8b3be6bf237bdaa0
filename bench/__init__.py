"""Benchmarks: real processes, asked over HTTP; every answer is checked before its time counts."""
