"""Calibration: how often each method claims what isn't there, misses what is, and covers what it should.

Nothing here is needed to answer a question; it measures how far the answers can be trusted, on data whose truth is known.
"""
