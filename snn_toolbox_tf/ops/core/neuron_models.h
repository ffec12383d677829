// What one neuron does in one timestep, for one float or for a vector of them (a comparison of vectors gives a mask, and
// ?: selects by it). `net_spikes` is what the neuron has emitted less what it took back.

#ifndef SNN_TOOLBOX_TF_OPS_CORE_NEURON_MODELS_H_
#define SNN_TOOLBOX_TF_OPS_CORE_NEURON_MODELS_H_

#include "integrate_fire.h"

namespace snn_toolbox {
// Each file that includes this is compiled for another instruction set: nothing in it may be shared between them.
namespace {

// Non-leaky integrate-and-fire (Rueckauer et al. 2017, equations 3a and 3b).
template <Reset kReset>
struct IntegrateAndFire {
  template <typename Value>
  static SNN_TOOLBOX_INLINE Value step(const Value& current, const Value& threshold, const Value&,
                                                          Value& v) {
    const Value zero = {}, one = zero + 1.0f;
    v = v + current;
    const auto fired = v >= threshold;
    // Selecting, not multiplying by the spike: an infinite potential must not turn into NaN.
    v = fired ? (kReset == Reset::kSubtract ? v - threshold : zero) : v;
    return fired ? one : zero;
  }
};

// The same with signed spikes: a neuron whose membrane potential is negative takes back a spike that it emitted before
// (after Wang et al. 2022, IJCAI, with the floor of the closed form in mind: the bound is 0).
template <Reset kReset>
struct SignedIntegrateAndFire {
  template <typename Value>
  static SNN_TOOLBOX_INLINE Value step(const Value& current, const Value& threshold,
                                                          const Value& net_spikes, Value& v) {
    const Value zero = {}, one = zero + 1.0f;
    v = v + current;
    const auto fired = v >= threshold;
    const auto takes_back = (v < zero) & (net_spikes >= one);
    if (kReset == Reset::kSubtract) {
      v = fired ? v - threshold : (takes_back ? v + threshold : v);
    } else {
      v = fired ? zero : (takes_back ? zero : v);
    }
    return fired ? one : (takes_back ? -one : zero);
  }
};

// Calls `function` with an object of the model that a population asks for.
template <typename Function>
SNN_TOOLBOX_INLINE void with_model(const IntegrateFire& population, const Function& function) {
  if (population.signed_spikes) {
    if (population.reset == Reset::kSubtract) return function(SignedIntegrateAndFire<Reset::kSubtract>());
    return function(SignedIntegrateAndFire<Reset::kZero>());
  }
  if (population.reset == Reset::kSubtract) return function(IntegrateAndFire<Reset::kSubtract>());
  return function(IntegrateAndFire<Reset::kZero>());
}

}  // namespace
}  // namespace snn_toolbox

#endif  // SNN_TOOLBOX_TF_OPS_CORE_NEURON_MODELS_H_
