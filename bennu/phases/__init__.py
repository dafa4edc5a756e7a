"""What happens: one module a state, named as the state; order.py is the runbook."""
