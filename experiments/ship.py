"""Put a run's model into the package, halved to float16, with its licence and attribution.

    textvae train tatoeba --rate 24 --set codec.vocab_size=4000 --batch-size 128 \
        --set train.learning_rate=3e-3 --epochs 8 --out runs/everyday
    python experiments/ship.py runs/everyday
"""

import argparse
from pathlib import Path

import torch

from textvae import TextVAE
from textvae.model_folder import SHIPPED

COMMAND = " ".join(__doc__.split("\n\n")[1].split("python")[0].replace("\\", "").split())
ATTRIBUTION = (
    "Trained on English sentences of [Tatoeba](https://tatoeba.org), by its contributors, licensed under "
    "[CC BY 2.0 FR](https://creativecommons.org/licenses/by/2.0/fr/). The weights are shared under the same licence: "
    "keep this attribution. How its rate was chosen, and how it measures: docs/rates.md of textvae."
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    arguments = parser.parse_args()
    vae = TextVAE.from_pretrained(arguments.run)
    vae.facts |= {
        "corpus": "Tatoeba, 104,830 English sentences",
        "license": "cc-by-2.0",
        "command": COMMAND,
        "attribution": ATTRIBUTION,
    }
    vae.save_pretrained(SHIPPED, torch.float16)


if __name__ == "__main__":
    main()
