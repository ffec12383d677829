"""Ways out of Keras: model servers, TFLite, NIR."""
