// A population whose currents come from spikes: synapse and integrate-fire-reset step, band by band.
//
// The currents of a band of neurons are found for a few timesteps, and taken up at once: they never leave the cache.

#ifndef SNN_TOOLBOX_TF_OPS_CORE_SPIKE_DRIVEN_H_
#define SNN_TOOLBOX_TF_OPS_CORE_SPIKE_DRIVEN_H_

#include "integrate_fire.h"
#include "spike_convolution.h"

namespace snn_toolbox {

// Runs all neurons of a population, spread over threads. Those of its currents that have a synapse are found from spikes.
void run(const IntegrateFire& population, IntegrateFireKernel step, SpikeConvolutionKernel convolve);

}  // namespace snn_toolbox

#endif  // SNN_TOOLBOX_TF_OPS_CORE_SPIKE_DRIVEN_H_
