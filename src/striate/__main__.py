"""`python -m striate` is the `striate` command, also under `torchrun -m striate`."""

from striate.cli.main import main

if __name__ == "__main__":
    main()
