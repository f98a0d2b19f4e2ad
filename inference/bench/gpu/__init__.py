"""Measures the kernels on one Hopper card: `python -m inference bench-gpu`. Needs torch, triton and nothing else.

A kernel is described once (case.py): its small problem is checked in the interpreter by the tests, compiled for
Hopper without a card, and checked again on the card before its full-size problem is timed.
"""
