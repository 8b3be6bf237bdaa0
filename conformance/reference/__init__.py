"""A small pure model of the standard, which random sequences of operations are compared with."""
