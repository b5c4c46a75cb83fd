"""Decoders: a code z [N, Z] to the hidden states from which a likelihood scores x."""

from textvae.decoders.base import AutoregressiveDecoder, Decoder
from textvae.registry import Registry

DECODERS: Registry[Decoder] = Registry(
    "decoder",
    {
        "conv2d": "textvae.decoders.conv2d:Conv2dDecoder",
        "dilated_conv": "textvae.decoders.dilated_conv:DilatedConvDecoder",
        "inputless": "textvae.decoders.inputless:InputlessDecoder",
        "lstm": "textvae.decoders.lstm:LSTMDecoder",
        "mlp": "textvae.decoders.mlp:MLPDecoder",
        "topics": "textvae.decoders.topics:TopicDecoder",
    },
)

__all__ = ["DECODERS", "AutoregressiveDecoder", "Decoder"]
