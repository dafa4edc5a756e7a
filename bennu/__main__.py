"""``python -m bennu``."""

from bennu.cli.entry import main

main()
