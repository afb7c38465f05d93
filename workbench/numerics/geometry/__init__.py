"""A compact GPT whose parts are swapped by name, so that kinds of attention are compared at equal counted FLOPs."""
