"""Moving in the space of codes."""
