"""The kernels run in Triton's interpreter here; whoever wants them compiled starts a process of its own."""

import os

os.environ["TRITON_INTERPRET"] = "1"  # before anything imports triton
