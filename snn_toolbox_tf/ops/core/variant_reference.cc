// The plain version: one neuron after the other, one timestep after the other. To read and to trust.

#include <cstddef>

#include "neuron_models.h"
#include "variants.h"

namespace snn_toolbox {
namespace {

float summed_current(const IntegrateFire& p, int64_t t, int64_t i) {
  float sum = 0.0f;
  for (int j = 0; j < p.number_of_currents; ++j) {
    const Current& current = p.currents[j];
    float value = *current.at(t, i);
    if (current.gain.values) value = value * current.gain.at(i);
    sum = j == 0 ? value : sum + value;
  }
  return sum;
}

template <typename Model>
void step_neurons(const IntegrateFire& p, const Model& model, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    const int64_t sample = i / p.sample_size, neuron = i % p.sample_size;
    const float threshold = p.threshold.at(i);
    float v = p.membrane_potential[i];
    float net_spikes = p.counts ? p.counts[i] : 0.0f;
    float hidden[Neuron::kMaximalHidden] = {};
    for (int k = 0; k < Model::kHidden; ++k) hidden[k] = p.hidden[k][i];
    int32_t emitted = 0;
    for (int64_t t = 0; t < p.timesteps; ++t) {
      const int64_t at = t * p.neurons() + i;
      const float spike = model.step(summed_current(p, t, i), threshold, net_spikes, v, hidden);
      emitted += static_cast<int32_t>(spike);
      net_spikes += spike;
      if (p.spikes) p.spikes[at] = spike;
      if (p.trace) p.trace[at] = v;
      if (p.bits) {
        uint8_t& byte = p.bits[(t * p.samples + sample) * p.bytes_per_sample() + neuron / 8];
        if (neuron % 8 == 0) byte = 0;
        if (spike > 0.0f) byte = static_cast<uint8_t>(byte | (1u << (neuron % 8)));
      }
    }
    p.final_membrane_potential[i] = v;
    for (int k = 0; k < Model::kHidden; ++k) p.final_hidden[k][i] = hidden[k];
    if (p.final_counts) p.final_counts[i] = net_spikes;
    if (p.block_counts) p.block_counts[i] = emitted;
  }
}

void integrate_fire_reference(const IntegrateFire& p, int64_t begin, int64_t end) {
  with_model(p.neuron, [&](const auto& model) { step_neurons(p, model, begin, end); });
}

double window_maximum(const AccumulateMaxPool& p, const double* sums, int64_t row, int64_t column, int64_t channel) {
  double maximum = 0.0;
  bool first = true;
  for (int64_t r = p.rows.begin(row); r < p.rows.end(row); ++r) {
    for (int64_t c = p.columns.begin(column); c < p.columns.end(column); ++c) {
      const double sum = sums[(r * p.columns.input + c) * p.channels + channel];
      if (first || sum > maximum) maximum = sum;
      first = false;
    }
  }
  return maximum;
}

// Does a whole sample when asked for its first band, and leaves the others nothing to do.
void accumulate_max_pool_reference(const AccumulateMaxPool& p, int64_t sample, int64_t band, double*) {
  if (band > 0) return;
  const int64_t inputs = p.rows.input * p.columns.input * p.channels;
  const int64_t outputs = p.rows.output * p.columns.output * p.channels;
  double* sums = p.final_accumulated + sample * inputs;
  std::vector<double> before(static_cast<size_t>(outputs));
  const auto output = [&](int64_t i) {
    const int64_t channel = i % p.channels, column = i / p.channels % p.columns.output;
    return window_maximum(p, sums, i / p.channels / p.columns.output, column, channel);
  };
  for (int64_t i = 0; i < inputs; ++i) sums[i] = p.accumulated[sample * inputs + i];
  for (int64_t i = 0; i < outputs; ++i) before[static_cast<size_t>(i)] = output(i);
  for (int64_t t = 0; t < p.timesteps; ++t) {
    const int64_t at = t * p.samples + sample;
    for (int64_t i = 0; i < inputs; ++i) sums[i] += static_cast<double>(p.current[at * inputs + i]);
    for (int64_t i = 0; i < outputs; ++i) {
      const double maximum = output(i);
      p.pooled[at * outputs + i] = static_cast<float>(maximum - before[static_cast<size_t>(i)]);
      before[static_cast<size_t>(i)] = maximum;
    }
  }
}

bool is_active(const SpikeConvolution& p, int64_t sample, int64_t i) {
  if (p.moved) i = p.moved[i];
  if (i < 0) return false;
  if (p.spikes) return p.spikes[sample * p.source_size + i] != 0.0f;
  return p.bits[sample * p.bytes_per_sample() + i / 8] >> (i % 8) & 1u;
}

void spike_convolution_reference(const PreparedConvolution& prepared, int64_t sample, int64_t begin, int64_t end,
                                 float* current, SpikeScratch*) {
  const SpikeConvolution& p = prepared.convolution;
  const int64_t group_inputs = p.inputs / p.groups, group_outputs = p.outputs / p.groups;
  for (int64_t i = begin; i < end; ++i, ++current) {
    if (!p.kernel) {
      *current = is_active(p, sample, i) ? 1.0f : 0.0f;
      continue;
    }
    const int64_t output = i % p.outputs, column = i / p.outputs % p.columns.output, row = i / p.row_size();
    float sum = p.bias ? p.bias[output] : 0.0f;
    for (int64_t tap = 0; tap < p.taps(); ++tap) {
      const int64_t r = p.rows.begin(row) + tap / p.columns.window * p.rows.dilation;
      const int64_t c = p.columns.begin(column) + tap % p.columns.window * p.columns.dilation;
      if (r < 0 || r >= p.rows.input || c < 0 || c >= p.columns.input) continue;
      for (int64_t input = 0; input < group_inputs; ++input) {
        const int64_t from = output / group_outputs * group_inputs + input;
        if (is_active(p, sample, (r * p.columns.input + c) * p.inputs + from)) {
          sum += p.kernel[(tap * group_inputs + input) * p.outputs + output];
        }
      }
    }
    *current = sum;
  }
}

}  // namespace

const Variant kReference = {"reference", integrate_fire_reference, accumulate_max_pool_reference,
                            spike_convolution_reference};

}  // namespace snn_toolbox
