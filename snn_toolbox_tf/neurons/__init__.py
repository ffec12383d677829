"""Spiking layers."""

from snn_toolbox_tf.neurons.integrate_and_fire import IntegrateAndFire

__all__ = ["IntegrateAndFire"]
