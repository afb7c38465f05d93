"""MEDUSA: a stochastic state-space system on a graph, whose parts each stand in a file of their own."""
