"""What the build side adds to the command line `chonkle`: one file for each command."""
