"""The kernels run in Triton's interpreter here; whoever wants them compiled starts a process of its own."""

import os
from typing import Any

os.environ["TRITON_INTERPRET"] = "1"  # before anything imports triton

from triton.runtime import interpreter  # noqa: E402

_patch_tensor = interpreter._patch_lang_tensor


def _patch_tensor_and_index(tensor: Any, scope: Any) -> None:
    """Triton 3.6 asks int() of an array of one number, which NumPy 2.4 refuses: no loop could run to a bound."""
    _patch_tensor(tensor, scope)
    scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.item()))


interpreter._patch_lang_tensor = _patch_tensor_and_index
