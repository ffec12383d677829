#include "spike_driven.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "thread_pool.h"

namespace snn_toolbox {
namespace {

// Currents that are found before they are taken up: half of a usual second-level cache is left to weights and spikes.
constexpr int64_t kMostCurrents = 1 << 16;

struct Bands {
  int64_t size;   // neurons of a sample that run at once
  int64_t count;  // of a sample
};

// Bands are whole rows of every synapse, and whole bytes of bits.
Bands bands_of(const IntegrateFire& population, int threads) {
  int64_t unit = 8;
  for (int k = 0; k < population.number_of_currents; ++k) {
    const PreparedConvolution* synapse = population.currents[k].synapse;
    if (synapse && synapse->method != Method::kCopy) unit = std::lcm(unit, synapse->convolution.row_size());
  }
  unit = std::min(unit, population.sample_size);
  const int64_t units = (population.sample_size + unit - 1) / unit;
  const int64_t wanted = threads == 1 ? 1 : (kTasksAThread * threads + population.samples - 1) / population.samples;
  // Few timesteps at once would load and store the membrane potentials for little.
  const int64_t cached = std::max<int64_t>(1, kMostCurrents / std::max<int64_t>(1, unit * population.timesteps));
  const int64_t units_a_band = std::max<int64_t>(1, std::min(cached, units / std::min(wanted, units)));
  return {units_a_band * unit, (units + units_a_band - 1) / units_a_band};
}

// What a thread keeps between calls.
struct Scratch {
  SpikeScratch spikes;
  AlignedFloats currents[IntegrateFire::kMaximalCurrents];
};

// Moves a population's arrays over timesteps on to timestep t, and leaves it `timesteps` of them.
IntegrateFire from_timestep(IntegrateFire p, int64_t t, int64_t timesteps) {
  p.timesteps = timesteps;
  if (t == 0) return p;
  p.membrane_potential = p.final_membrane_potential;
  p.counts = p.final_counts;
  for (int k = 0; k < p.number_of_hidden; ++k) p.hidden[k] = p.final_hidden[k];
  if (p.spikes) p.spikes += t * p.neurons();
  if (p.trace) p.trace += t * p.neurons();
  if (p.bits) p.bits += t * p.samples * p.bytes_per_sample();
  for (int k = 0; k < p.number_of_currents; ++k) {
    if (!p.currents[k].synapse) p.currents[k].values += t * p.currents[k].stride;
  }
  return p;
}

// One sample whose rows cannot be divided, as of a dense layer, would keep one thread busy: its timesteps are divided.
void run_one_after_the_other(IntegrateFire population, IntegrateFireKernel step, SpikeConvolutionKernel convolve) {
  AlignedFloats found[IntegrateFire::kMaximalCurrents];
  for (int k = 0; k < population.number_of_currents; ++k) {
    Current& current = population.currents[k];
    if (!current.synapse) continue;
    found[k].resize(static_cast<size_t>(population.timesteps * population.neurons()));
    run(*current.synapse, convolve, found[k].data());
    current.values = found[k].data();
    current.stride = population.neurons();
  }
  run(population, step);
}

}  // namespace

void run(const IntegrateFire& population, IntegrateFireKernel step, SpikeConvolutionKernel convolve) {
  if (population.neurons() == 0) return;
  ThreadPool& pool = ThreadPool::instance();
  const Bands bands = bands_of(population, pool.threads());
  if (pool.threads() > 1 && population.samples == 1 && bands.count == 1 && population.timesteps > 1) {
    return run_one_after_the_other(population, step, convolve);
  }
  // Counts of a block are written once, at its end.
  const int64_t most = population.block_counts ? population.timesteps : std::max<int64_t>(1, kMostCurrents / bands.size);
  const auto task = [&](int64_t index) {
    thread_local Scratch scratch;
    const int64_t sample = index / bands.count, from = index % bands.count * bands.size;
    const int64_t to = std::min(from + bands.size, population.sample_size), size = to - from;
    const int64_t begin = sample * population.sample_size + from;
    for (int64_t t = 0; t < population.timesteps; t += most) {
      IntegrateFire part = from_timestep(population, t, std::min(most, population.timesteps - t));
      for (int k = 0; k < part.number_of_currents; ++k) {
        Current& current = part.currents[k];
        if (current.shared) current.first = sample * population.sample_size;
        if (!current.synapse) continue;
        AlignedFloats& found = scratch.currents[k];
        if (static_cast<int64_t>(found.size()) < part.timesteps * size) found.resize(static_cast<size_t>(part.timesteps * size));
        for (int64_t step_of_part = 0; step_of_part < part.timesteps; ++step_of_part) {
          const int64_t row = (t + step_of_part) * population.samples + sample;
          convolve(*current.synapse, row, from, to, found.data() + step_of_part * size, &scratch.spikes);
        }
        current.values = found.data();
        current.stride = size;
        current.first = begin;
      }
      step(part, begin, begin + size);
    }
  };
  pool.run(population.samples * bands.count, std::cref(task));
}

}  // namespace snn_toolbox
