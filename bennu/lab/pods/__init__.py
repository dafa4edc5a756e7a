"""Programs that the lab's pods run: small, standard library only."""
