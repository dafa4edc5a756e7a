"""Documents: text in, text out. The only door to ruamel."""
