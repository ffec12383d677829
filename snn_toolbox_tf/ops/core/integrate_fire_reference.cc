// The plain version: one neuron after the other, one timestep after the other.

#include "integrate_fire_variants.h"

namespace snn_toolbox {

void integrate_fire_reference(const IntegrateFire& p, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    const int64_t sample = i / p.sample_size, neuron = i % p.sample_size;
    const float threshold = p.threshold[(i / p.inner) % p.channels];
    float v = p.membrane_potential[i];
    float net_spikes = p.counts ? p.counts[i] : 0.0f;
    int32_t emitted = 0;
    for (int64_t t = 0; t < p.timesteps; ++t) {
      const int64_t at = t * p.neurons() + i;
      v += p.current[p.constant_current ? i : at];
      int32_t spike = 0;
      if (v >= threshold) {
        spike = 1;
      } else if (p.signed_spikes && v < 0.0f && net_spikes >= 1.0f) {
        spike = -1;
      }
      if (spike != 0) {
        if (p.reset == Reset::kZero) {
          v = 0.0f;
        } else {
          v = spike > 0 ? v - threshold : v + threshold;
        }
      }
      emitted += spike;
      net_spikes += static_cast<float>(spike);
      if (p.spikes) p.spikes[at] = static_cast<float>(spike);
      if (p.trace) p.trace[at] = v;
      if (p.bits) {
        uint8_t& byte = p.bits[(t * p.samples + sample) * p.bytes_per_sample() + neuron / 8];
        if (neuron % 8 == 0) byte = 0;
        if (spike > 0) byte = static_cast<uint8_t>(byte | (1u << (neuron % 8)));
      }
    }
    p.final_membrane_potential[i] = v;
    if (p.final_counts) p.final_counts[i] = net_spikes;
    if (p.block_counts) p.block_counts[i] = emitted;
  }
}

}  // namespace snn_toolbox
