"""The forward pass of the DeepSeek-V3.2-Exp family in plain PyTorch, over a paged cache."""

from inference.model.decoder import Model
from inference.model.loading import load_model

__all__ = ["Model", "load_model"]
