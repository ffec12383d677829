// What one neuron does in one timestep, for one float or for a vector of them (a comparison of vectors gives a mask, and
// ?: selects by it).
//
// A further neuron model is one struct that says how the membrane takes up a current, its name in `find_model`, and its
// line in `with_model`. snn_toolbox_tf/neurons says the same in Python.

#ifndef SNN_TOOLBOX_TF_OPS_CORE_NEURON_MODELS_H_
#define SNN_TOOLBOX_TF_OPS_CORE_NEURON_MODELS_H_

#include <cstring>

#include "integrate_fire.h"

namespace snn_toolbox {
// Each file that includes this is compiled for another instruction set: nothing in it may be shared between them.
namespace {

// Non-leaky integrate-and-fire (Rueckauer et al. 2017, equation 3a).
struct PerfectMembrane {
  explicit SNN_TOOLBOX_INLINE PerfectMembrane(const float*) {}
  template <typename Value>
  SNN_TOOLBOX_INLINE Value integrate(const Value& v, const Value& current) const {
    return v + current;
  }
};

// Leaky: parameters are what is left of the potential after a timestep, and what a current adds to it.
struct LeakyMembrane {
  float retention, gain;
  explicit SNN_TOOLBOX_INLINE LeakyMembrane(const float* parameters) : retention(parameters[0]), gain(parameters[1]) {}
  template <typename Value>
  SNN_TOOLBOX_INLINE Value integrate(const Value& v, const Value& current) const {
    return v * retention + current * gain;
  }
};

// Integrates, fires at the threshold, and resets (equation 3b). With signed spikes, a neuron whose membrane potential is
// negative takes back a spike that it emitted before (after Wang et al. 2022, IJCAI, with the floor of the closed form in
// mind: the bound is 0). `net_spikes` is what the neuron has emitted less what it took back.
template <typename Membrane, Reset kReset, bool kSigned>
struct SpikingNeuron {
  Membrane membrane;
  explicit SNN_TOOLBOX_INLINE SpikingNeuron(const float* parameters) : membrane(parameters) {}

  template <typename Value>
  SNN_TOOLBOX_INLINE Value step(const Value& current, const Value& threshold, const Value& net_spikes, Value& v) const {
    const Value zero = {}, one = zero + 1.0f;
    v = membrane.integrate(v, current);
    const auto fired = v >= threshold;
    // Selecting, not multiplying by the spike: an infinite potential must not turn into NaN.
    if (!kSigned) {
      v = fired ? (kReset == Reset::kSubtract ? v - threshold : zero) : v;
      return fired ? one : zero;
    }
    const auto takes_back = (v < zero) & (net_spikes >= one);
    if (kReset == Reset::kSubtract) {
      v = fired ? v - threshold : (takes_back ? v + threshold : v);
    } else {
      v = fired ? zero : (takes_back ? zero : v);
    }
    return fired ? one : (takes_back ? -one : zero);
  }
};

// Finds a model by its name in Python; false if there is none.
SNN_TOOLBOX_INLINE bool find_model(const char* name, NeuronModel* model) {
  if (std::strcmp(name, "integrate_and_fire") == 0) return *model = NeuronModel::kIntegrateAndFire, true;
  if (std::strcmp(name, "leaky_integrate_and_fire") == 0) return *model = NeuronModel::kLeakyIntegrateAndFire, true;
  return false;
}

template <typename Membrane, typename Function>
SNN_TOOLBOX_INLINE void with_membrane(const Neuron& neuron, const Function& function) {
  const float* parameters = neuron.parameters;
  if (neuron.signed_spikes) {
    if (neuron.reset == Reset::kSubtract) return function(SpikingNeuron<Membrane, Reset::kSubtract, true>(parameters));
    return function(SpikingNeuron<Membrane, Reset::kZero, true>(parameters));
  }
  if (neuron.reset == Reset::kSubtract) return function(SpikingNeuron<Membrane, Reset::kSubtract, false>(parameters));
  return function(SpikingNeuron<Membrane, Reset::kZero, false>(parameters));
}

// Calls `function` with an object of the model that a population asks for.
template <typename Function>
SNN_TOOLBOX_INLINE void with_model(const Neuron& neuron, const Function& function) {
  switch (neuron.model) {
    case NeuronModel::kIntegrateAndFire:
      return with_membrane<PerfectMembrane>(neuron, function);
    case NeuronModel::kLeakyIntegrateAndFire:
      return with_membrane<LeakyMembrane>(neuron, function);
  }
}

}  // namespace
}  // namespace snn_toolbox

#endif  // SNN_TOOLBOX_TF_OPS_CORE_NEURON_MODELS_H_
