"""What makes a network the same as another: a digest of everything that decides what it answers.

A module is not its weights: an instance may have a patched ``forward``, tensors in lists, hooks, a function of a
notebook that it calls. `walking` goes through all that its methods reach; `parts` says what objects are made of, `reach`
which functions and values code refers to, `tensors` what identifies a tensor. What can't be told is `Undigestable`,
and then nothing that was kept answers for it.
"""

from workbench.numerics.identity.walking import Undigestable, network_digest

__all__ = ["Undigestable", "network_digest"]
