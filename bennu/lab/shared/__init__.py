"""What the lab's clusters share: the Git remote, the name server, the Prometheus API."""
