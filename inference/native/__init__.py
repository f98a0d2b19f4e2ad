"""The same model in C++ for CPUs, with int8 weights, outside the interpreter. Optional; PyTorch does it otherwise."""
