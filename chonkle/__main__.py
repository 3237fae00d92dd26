"""`python -m chonkle`: the command line without an installed script."""

from chonkle.cli import main

main()
