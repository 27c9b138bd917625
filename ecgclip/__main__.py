"""`python -m ecgclip` is the command line."""

from ecgclip.cli import main

main()
