"""``python -m textvae_cli`` is ``textvae``; also what ``torchrun -m textvae_cli`` starts."""

from textvae_cli.app import main

if __name__ == "__main__":
    main()
