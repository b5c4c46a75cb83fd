"""The command line: a file per command, thin over ``textvae`` and ``textvae_corpora``."""
