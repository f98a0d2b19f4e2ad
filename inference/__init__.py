"""Sonde's model worker, a program of its own: `python -m inference`.

Imports nothing here, so that the modules of policy (scheduler, blocks, sequence) stay free of torch.
"""
