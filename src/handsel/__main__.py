"""`python -m handsel` is the command `handsel`."""

from handsel.cli import main

main()
