"""The worker's HTTP face, in OpenAI's shape. Knows the engine's async front; knows nothing of models or tensors."""
