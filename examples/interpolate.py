"""A homotopy between two sentences: python examples/interpolate.py [MODEL]. Without MODEL, the one that ships."""

import sys

from textvae import Decoding, TextVAE

vae = TextVAE.from_pretrained(sys.argv[1] if len(sys.argv) > 1 else None)

z = vae.encode(["I am tired.", "Where is the station?"])  # codes [2, Z]
print(*vae.decode(z), sep="\n")

for step in vae.interpolate("I am tired.", "Where is the station?", steps=5):
    print(f"{step.t:.2f}  {step.log_prob:7.1f}  {step.raw}")

for sample in vae.sample(3, Decoding("sample", temperature=0.8), seed=1):
    print(sample.raw)
