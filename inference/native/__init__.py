"""Decoding in C++ for CPUs: the same model, a few rows a step, int8 weights. Optional; PyTorch does it otherwise."""
