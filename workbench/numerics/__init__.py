"""Pure tensor code: arrays in, arrays out, nothing of subjects or results."""
