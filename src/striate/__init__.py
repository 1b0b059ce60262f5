"""striate: the whole life of a convolutional network."""
