"""Real systems: one third party a file."""
