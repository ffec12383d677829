"""Ways out of Keras: model servers and small devices."""
