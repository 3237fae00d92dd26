"""Run the command line with `python -m chonkle_toolchain`."""

from chonkle_toolchain.cli import main

if __name__ == "__main__":
    main()
