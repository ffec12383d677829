// The fused integrate-fire-reset step, without TensorFlow types.
//
// All kernels do the same arithmetic in the same order, one IEEE operation at a time (compile with -ffp-contract=off), so
// that their spikes and membrane potentials are equal bit for bit: variant_reference.cc has the plain version.

#ifndef SNN_TOOLBOX_TF_OPS_CORE_INTEGRATE_FIRE_H_
#define SNN_TOOLBOX_TF_OPS_CORE_INTEGRATE_FIRE_H_

#include <cstdint>

// Members that kernels call are part of every file that does, for its instruction set: none may be left to the linker, which
// would keep one copy for all.
#define SNN_TOOLBOX_INLINE inline __attribute__((always_inline))

namespace snn_toolbox {

enum class NeuronModel { kIntegrateAndFire, kLeakyIntegrateAndFire, kWithHiddenState };
enum class Reset { kSubtract, kZero };

// What the neurons of a population do in a timestep; neuron_models.h says it.
struct Neuron {
  static constexpr int kMaximalParameters = 12;
  NeuronModel model = NeuronModel::kIntegrateAndFire;
  Reset reset = Reset::kSubtract;
  // Fire -1 where the membrane potential is negative and more spikes were emitted than taken back; needs counts.
  bool signed_spikes = false;
  float parameters[kMaximalParameters] = {};
  // What a neuron keeps besides its membrane potential, in numbers; what they are is the model's.
  static constexpr int kMaximalHidden = 4;
};

// Values per channel: neuron i has values[(i / inner) % channels].
struct PerChannel {
  const float* values = nullptr;
  int64_t channels = 1;
  int64_t inner = 1;

  SNN_TOOLBOX_INLINE float at(int64_t i) const { return values[(i / inner) % channels]; }
};

struct PreparedConvolution;

// One of the currents that are summed into the membrane.
struct Current {
  // Of neuron i at timestep t: values[t * stride + i - first].
  const float* values = nullptr;
  int64_t stride = 0;  // 0: it is constant
  int64_t first = 0;   // neuron
  // All samples have the same values: `first` is to be set to a sample's first neuron.
  bool shared = false;
  // What the values are found from instead, if it is given: its samples are those of the first timestep, of the second, ...
  const PreparedConvolution* synapse = nullptr;
  PerChannel gain;  // what it is multiplied by; null values: nothing

  SNN_TOOLBOX_INLINE const float* at(int64_t t, int64_t i) const { return values + t * stride + (i - first); }
};

// A population and its block of timesteps. Neurons are numbered 0 .. samples * sample_size - 1; arrays over timesteps hold
// one such row after the other. An output may be the same array as the input of the same size; null outputs are not wanted.
struct IntegrateFire {
  int64_t timesteps = 1;
  int64_t samples = 0;
  int64_t sample_size = 0;

  // Summed in this order, before the membrane potential is added. Spikes may overwrite any that is not constant.
  static constexpr int kMaximalCurrents = 4;
  Current currents[kMaximalCurrents];
  int number_of_currents = 1;
  const float* membrane_potential = nullptr;  // [neurons]
  PerChannel threshold;

  Neuron neuron;
  const float* hidden[Neuron::kMaximalHidden] = {};  // [neurons] each
  int number_of_hidden = 0;

  float* final_hidden[Neuron::kMaximalHidden] = {};
  float* final_membrane_potential = nullptr;  // [neurons]
  float* spikes = nullptr;                    // [timesteps, neurons], 0 or 1 (or -1, or several)
  // [timesteps, samples, bytes_per_sample()]: spike j of a sample is bit j % 8 of its byte j / 8.
  uint8_t* bits = nullptr;
  int32_t* block_counts = nullptr;  // [neurons]: net spikes of this block
  const float* counts = nullptr;    // [neurons]: net spikes before this block
  float* final_counts = nullptr;    // [neurons]
  float* trace = nullptr;           // [timesteps, neurons]: membrane potential after each timestep

  SNN_TOOLBOX_INLINE int64_t neurons() const { return samples * sample_size; }
  SNN_TOOLBOX_INLINE int64_t bytes_per_sample() const { return (sample_size + 7) / 8; }
};

// Runs neurons [begin, end). With `bits`, begin and end lie in one sample, begin at a multiple of 8 neurons in it, and
// end at such a multiple or at the sample's end: no two calls touch one byte.
using IntegrateFireKernel = void (*)(const IntegrateFire& population, int64_t begin, int64_t end);

// Runs all neurons of a population, spread over threads. No current has a synapse.
void run(const IntegrateFire& population, IntegrateFireKernel kernel);

}  // namespace snn_toolbox

#endif  // SNN_TOOLBOX_TF_OPS_CORE_INTEGRATE_FIRE_H_
