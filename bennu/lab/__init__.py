"""A world to rehearse in: real servers on loopback, reached through the real adapters."""
