"""What may be wrong with a data set, and how much of it the network can express."""
