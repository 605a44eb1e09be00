"""`python -m radiolucent`, as `torchrun -m radiolucent` needs it."""

from radiolucent.cli import main

if __name__ == "__main__":
    main()
