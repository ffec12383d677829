"""What a spiking network does and costs, compared with its source."""
