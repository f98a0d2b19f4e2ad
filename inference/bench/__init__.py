"""Measures the engine on this machine, side by side with llama.cpp: `python -m inference bench --model DIR`.

Whatever is compared is measured in turns in one run and told as a ratio, so that other work on the machine disturbs
both sides alike; the numbers are medians. Each side is a process of its own, stopped while the other works.
docs/benchmarks.md tells the methods.
"""
