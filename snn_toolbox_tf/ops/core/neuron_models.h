// What one neuron does in one timestep, for one float or for a vector of them (a comparison of vectors gives a mask, and
// ?: selects by it).
//
// A further plain neuron model is one struct that says how the membrane takes up a current, its name in `find_model`, and its
// line in `with_model`. Whatever keeps more than a membrane potential is `NeuronWithHiddenState`. snn_toolbox_tf/neurons says
// the same in Python.

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
  static constexpr int kHidden = 0;
  Membrane membrane;
  explicit SNN_TOOLBOX_INLINE SpikingNeuron(const float* parameters) : membrane(parameters) {}

  template <typename Value>
  SNN_TOOLBOX_INLINE Value step(const Value& current, const Value& threshold, const Value& net_spikes, Value& v,
                                Value*) const {
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

// Any membrane, behind a synaptic filter of kStages exponentials in a row, with a refractory period and a threshold that
// rises with each spike; see `Neuron` in Python. `hidden` holds the synaptic current, that of the filter in front of it, the
// timesteps that are left of the refractory period, and the threshold's rise: those that there are, in this order.
template <int kStages, bool kRefractory, bool kAdapting>
struct NeuronWithHiddenState {
  static constexpr int kHidden = kStages + kRefractory + kAdapting;
  float retention, gain, resting_charge, reset_potential, kept, passed, refractory_timesteps, rise, threshold_retention;
  bool input_is_lost, subtracts;

  explicit SNN_TOOLBOX_INLINE NeuronWithHiddenState(const Neuron& neuron)
      : retention(neuron.parameters[0]),
        gain(neuron.parameters[1]),
        resting_charge(neuron.parameters[2]),
        reset_potential(neuron.parameters[3]),
        kept(neuron.parameters[5]),
        passed(neuron.parameters[6]),
        refractory_timesteps(neuron.parameters[7]),
        rise(neuron.parameters[9]),
        threshold_retention(neuron.parameters[10]),
        input_is_lost(neuron.parameters[8] != 0.0f),
        subtracts(neuron.reset == Reset::kSubtract) {}

  template <typename Value>
  SNN_TOOLBOX_INLINE Value step(const Value& current, const Value& threshold, const Value&, Value& v,
                                Value* hidden) const {
    const Value zero = {}, one = zero + 1.0f;
    Value taken_up = current, limit = threshold;
    for (int stage = kStages - 1; stage >= 0; --stage) {
      taken_up = hidden[stage] = hidden[stage] * kept + taken_up * passed;
    }
    Value after = v * retention + taken_up * gain;
    after = after + threshold * resting_charge;
    Value able = one;
    if constexpr (kRefractory) {
      Value& left = hidden[kStages];
      able = left <= zero ? one : zero;
      if (input_is_lost) after = able > zero ? after : v;
      left = left > one ? left - one : zero;
    }
    if constexpr (kAdapting) {
      Value& raised = hidden[kStages + kRefractory];
      raised = raised * threshold_retention;
      limit = threshold + threshold * raised;
    }
    const auto fired = (after >= limit) & (able > zero);
    v = fired ? (subtracts ? after - limit : threshold * reset_potential) : after;
    if constexpr (kRefractory) hidden[kStages] = fired ? zero + refractory_timesteps : hidden[kStages];
    if constexpr (kAdapting) {
      Value& raised = hidden[kStages + kRefractory];
      raised = fired ? raised + rise : raised;
    }
    return fired ? one : zero;
  }
};

// Any membrane behind a synaptic filter that fires as many spikes in a timestep as its potential is worth thresholds, up to a
// number of them, and subtracts a threshold for each (Li & Zeng 2022, IJCAI).
template <int kStages>
struct BurstingNeuron {
  static constexpr int kHidden = kStages;
  float retention, gain, resting_charge, kept, passed;
  int most_spikes;

  explicit SNN_TOOLBOX_INLINE BurstingNeuron(const Neuron& neuron)
      : retention(neuron.parameters[0]),
        gain(neuron.parameters[1]),
        resting_charge(neuron.parameters[2]),
        kept(neuron.parameters[5]),
        passed(neuron.parameters[6]),
        most_spikes(static_cast<int>(neuron.parameters[11])) {}

  template <typename Value>
  SNN_TOOLBOX_INLINE Value step(const Value& current, const Value& threshold, const Value&, Value& v,
                                Value* hidden) const {
    const Value zero = {}, one = zero + 1.0f;
    Value taken_up = current;
    for (int stage = kStages - 1; stage >= 0; --stage) {
      taken_up = hidden[stage] = hidden[stage] * kept + taken_up * passed;
    }
    Value after = v * retention + taken_up * gain;
    after = after + threshold * resting_charge;
    Value spikes = after >= threshold ? one : zero;
    for (int number = 2; number <= most_spikes; ++number) {
      spikes = spikes + (after >= threshold * static_cast<float>(number) ? one : zero);
    }
    v = after - spikes * threshold;
    return spikes;
  }
};

// Finds a model by its name in Python; false if there is none.
SNN_TOOLBOX_INLINE bool find_model(const char* name, NeuronModel* model) {
  if (std::strcmp(name, "integrate_and_fire") == 0) return *model = NeuronModel::kIntegrateAndFire, true;
  if (std::strcmp(name, "leaky_integrate_and_fire") == 0) return *model = NeuronModel::kLeakyIntegrateAndFire, true;
  if (std::strcmp(name, "integrate_and_fire_with_hidden_state") == 0) return *model = NeuronModel::kWithHiddenState, true;
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

// Whether there may be several spikes of a neuron in a timestep, which do not fit into bits.
SNN_TOOLBOX_INLINE bool fires_bursts(const Neuron& neuron) {
  return neuron.model == NeuronModel::kWithHiddenState && neuron.parameters[11] > 1.0f;
}

template <int kStages, typename Function>
SNN_TOOLBOX_INLINE void with_stages(const Neuron& neuron, const Function& function) {
  if (fires_bursts(neuron)) return function(BurstingNeuron<kStages>(neuron));
  const bool refractory = neuron.parameters[7] > 0.0f, adapting = neuron.parameters[9] > 0.0f;
  if (refractory && adapting) return function(NeuronWithHiddenState<kStages, true, true>(neuron));
  if (refractory) return function(NeuronWithHiddenState<kStages, true, false>(neuron));
  if (adapting) return function(NeuronWithHiddenState<kStages, false, true>(neuron));
  return function(NeuronWithHiddenState<kStages, false, false>(neuron));
}

template <typename Function>
SNN_TOOLBOX_INLINE void with_hidden_state(const Neuron& neuron, const Function& function) {
  if (neuron.parameters[4] == 2.0f) return with_stages<2>(neuron, function);
  if (neuron.parameters[4] == 1.0f) return with_stages<1>(neuron, function);
  return with_stages<0>(neuron, function);
}

// How many numbers of hidden state a population's neurons keep.
SNN_TOOLBOX_INLINE int hidden_of(const Neuron& neuron) {
  if (neuron.model != NeuronModel::kWithHiddenState) return 0;
  if (fires_bursts(neuron)) return static_cast<int>(neuron.parameters[4]);
  return static_cast<int>(neuron.parameters[4]) + (neuron.parameters[7] > 0.0f) + (neuron.parameters[9] > 0.0f);
}

// Calls `function` with an object of the model that a population asks for.
template <typename Function>
SNN_TOOLBOX_INLINE void with_model(const Neuron& neuron, const Function& function) {
  switch (neuron.model) {
    case NeuronModel::kIntegrateAndFire:
      return with_membrane<PerfectMembrane>(neuron, function);
    case NeuronModel::kLeakyIntegrateAndFire:
      return with_membrane<LeakyMembrane>(neuron, function);
    case NeuronModel::kWithHiddenState:
      return with_hidden_state(neuron, function);
  }
}

}  // namespace
}  // namespace snn_toolbox

#endif  // SNN_TOOLBOX_TF_OPS_CORE_NEURON_MODELS_H_
