"""Checks a data set for mistakes, and measures how much of it the network can express."""
