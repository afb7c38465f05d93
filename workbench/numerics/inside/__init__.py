"""What happens inside a network while it reads: its heads' patterns, its stream at each block, and what changes to it do."""
