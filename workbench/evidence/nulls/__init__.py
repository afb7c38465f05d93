"""Named hypotheses that a sceptic holds, one file each: what a claim has to be set beside before it is one.

All methods choose from these, so that one claim means the same wherever it is made, and `workbench calibrate` measures
for each method and each hypothesis how often a true one is rejected.
"""
