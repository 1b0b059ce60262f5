"""`python -m striate` is the `striate` command; `torchrun -m striate` starts it in every process."""

from striate.cli.main import main

if __name__ == "__main__":
    main()
