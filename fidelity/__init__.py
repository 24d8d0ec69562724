"""Does a quantized language model still say the same things? Output fidelity with a measured noise floor."""

__version__ = "0.1.0"
