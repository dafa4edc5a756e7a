"""Questions asked of systems: one Protocol a file, its docstring the contract."""
