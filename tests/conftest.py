"""One thread, no network, and the same random numbers at the start of each test."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import hypothesis
import pytest
import torch

torch.set_num_threads(1)
hypothesis.settings.register_profile("same", derandomize=True, deadline=None)  # a red test is red for everyone
hypothesis.settings.register_profile("search", max_examples=5000, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


@pytest.fixture(autouse=True)
def seeded():
    """Start from one seed."""
    torch.manual_seed(0)
