"""Parse, call, show: the only typer and rich."""
