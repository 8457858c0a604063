"""`python -m fleetsift` is the command line too, where the script is not on the path."""

from fleetsift.cli import main

if __name__ == "__main__":
    main()
