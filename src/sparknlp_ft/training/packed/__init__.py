"""Training encoders without padding on CPUs: what computes token by token sees the tokens alone, packed one after the other."""

from sparknlp_ft.training.packed.encoder import pack_encoder

__all__ = ["pack_encoder"]
