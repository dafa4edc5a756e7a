"""How steps run: the loop, the waits, the journal, the lock. Knows of phases only their base."""
