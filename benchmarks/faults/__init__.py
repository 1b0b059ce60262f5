"""The corpus of injected faults, and the runner that counts what is found of them."""
