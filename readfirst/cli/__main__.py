"""`python -m readfirst.cli` is the `readfirst` command."""

from readfirst.cli import main

main()
