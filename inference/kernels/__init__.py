"""Triton kernels of the family, for Hopper, each beside the plain PyTorch that says what it computes.

Knows tensors, the cache's byte layouts and number formats; knows no model, no sequence, no checkpoint. Imported only
where a GPU computes: triton is not needed to serve from a CPU. With TRITON_INTERPRET=1 set before the import every
kernel runs on CPU tensors in Triton's interpreter, in fp32 and FP8: its bfloat16 arithmetic is wrong.
"""
