"""Measurements beside the peers: the same rows, one process, quality beside speed.

``workbench bench`` runs them; so does ``python -m workbench.benchmarks`` where only torch, numpy, scipy,
scikit-learn and numba are installed. One module a field; `catalogue` names them all.
"""
