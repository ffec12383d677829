"""Spikes in time: input encoding, one block of timesteps, the loop over blocks, and what comes out."""
