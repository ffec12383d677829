"""Ways out of Keras."""
