"""Encoders: x [B, …] to features [B, F], from which a posterior is made."""

from textvae.encoders.base import Encoder
from textvae.registry import Registry

ENCODERS: Registry[Encoder] = Registry(
    "encoder",
    {
        "bag": "textvae.encoders.bag:BagEncoder",
        "conv": "textvae.encoders.conv:ConvEncoder",
        "conv2d": "textvae.encoders.conv2d:Conv2dEncoder",
        "lstm": "textvae.encoders.lstm:LSTMEncoder",
        "mlp": "textvae.encoders.mlp:MLPEncoder",
        "none": "textvae.encoders.none:NoEncoder",
    },
)

__all__ = ["ENCODERS", "Encoder"]
