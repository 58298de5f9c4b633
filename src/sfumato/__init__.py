"""A fast bench for neural networks that paint."""
