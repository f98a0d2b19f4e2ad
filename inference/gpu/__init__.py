"""Decoding on a card: steps in static shapes, captured as CUDA graphs, launched one ahead of what the host has read.

Knows the model, its cache and rows of tokens; the engine decides what is computed. Everything here runs on a CPU too,
uncaptured, which is how it is tested.
"""
