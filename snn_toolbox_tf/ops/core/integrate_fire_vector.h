// The kernel for one vector width: define SNN_TOOLBOX_VECTOR_BYTES and include this. Vectors are the compilers' own
// (GCC and Clang), so that one text serves every instruction set.

#ifndef SNN_TOOLBOX_TF_OPS_CORE_INTEGRATE_FIRE_VECTOR_H_
#define SNN_TOOLBOX_TF_OPS_CORE_INTEGRATE_FIRE_VECTOR_H_

#include "integrate_fire_variants.h"
#include "neuron_models.h"

namespace snn_toolbox {
namespace {

constexpr int kLanes = SNN_TOOLBOX_VECTOR_BYTES / 4;
// Vectors that a tile of neurons takes: so many streams of membrane potentials stay in registers over all timesteps.
constexpr int kTileVectors = 4;

typedef float FloatVector __attribute__((vector_size(SNN_TOOLBOX_VECTOR_BYTES)));
typedef int32_t IntVector __attribute__((vector_size(SNN_TOOLBOX_VECTOR_BYTES)));

template <typename Value, typename Element>
inline __attribute__((always_inline)) Value load(const Element* from) {
  Value value;
  __builtin_memcpy(&value, from, sizeof(value));
  return value;
}

template <typename Value, typename Element>
inline __attribute__((always_inline)) void store(Element* to, const Value& value) {
  __builtin_memcpy(to, &value, sizeof(value));
}

inline __attribute__((always_inline)) void store_integers(int32_t* to, const FloatVector& value) {
  store(to, __builtin_convertvector(value, IntVector));
}

inline __attribute__((always_inline)) void store_integers(int32_t* to, const float& value) {
  *to = static_cast<int32_t>(value);
}

// Thresholds of the neurons i, i + 1, ... that one value holds.
inline __attribute__((always_inline)) float thresholds(const IntegrateFire& p, int64_t i, const float&) {
  return p.threshold[(i / p.inner) % p.channels];
}

inline __attribute__((always_inline)) FloatVector thresholds(const IntegrateFire& p, int64_t i, const FloatVector&) {
  const FloatVector zero = {};
  const int64_t channel = (i / p.inner) % p.channels;
  if (p.channels == 1 || i % p.inner + kLanes <= p.inner) return zero + p.threshold[channel];
  if (p.inner == 1 && channel + kLanes <= p.channels) return load<FloatVector>(p.threshold + channel);
  float lanes[kLanes];
  for (int lane = 0; lane < kLanes; ++lane) lanes[lane] = thresholds(p, i + lane, 0.0f);
  return load<FloatVector>(lanes);
}

inline __attribute__((always_inline)) void store_bits(const IntegrateFire& p, int64_t t, int64_t i,
                                                      const FloatVector& spike) {
  const int64_t sample = i / p.sample_size, neuron = i % p.sample_size;
  uint8_t* bytes = p.bits + (t * p.samples + sample) * p.bytes_per_sample() + neuron / 8;
  const FloatVector zero = {};
  const IntVector fired = spike > zero;
  if (kLanes < 8) {
    // Half a byte: the first half starts it, the second completes it.
    unsigned nibble = 0;
    for (int lane = 0; lane < kLanes; ++lane) nibble |= (fired[lane] & 1u) << lane;
    const unsigned shift = static_cast<unsigned>(neuron % 8);
    *bytes = static_cast<uint8_t>((shift ? *bytes : 0u) | nibble << shift);
    return;
  }
  for (int byte = 0; byte < kLanes / 8; ++byte) {
    unsigned value = 0;
    for (int bit = 0; bit < 8; ++bit) value |= (fired[byte * 8 + bit] & 1u) << bit;
    bytes[byte] = static_cast<uint8_t>(value);
  }
}

inline __attribute__((always_inline)) void store_bits(const IntegrateFire& p, int64_t t, int64_t i, const float& spike) {
  const int64_t sample = i / p.sample_size, neuron = i % p.sample_size;
  uint8_t& byte = p.bits[(t * p.samples + sample) * p.bytes_per_sample() + neuron / 8];
  const unsigned shift = static_cast<unsigned>(neuron % 8), fired = spike > 0.0f ? 1u : 0u;
  byte = static_cast<uint8_t>((shift ? byte : 0u) | fired << shift);
}

// All timesteps of kCount values (vectors, or single floats) of neurons from i on.
template <typename Model, typename Value, int kCount>
inline __attribute__((always_inline)) void tile(const IntegrateFire& p, int64_t i) {
  constexpr int64_t kWidth = sizeof(Value) / sizeof(float);
  const Value zero = {};
  Value v[kCount], threshold[kCount], counts[kCount], emitted[kCount];
  for (int j = 0; j < kCount; ++j) {
    v[j] = load<Value>(p.membrane_potential + i + j * kWidth);
    threshold[j] = thresholds(p, i + j * kWidth, zero);
    counts[j] = p.counts ? load<Value>(p.counts + i + j * kWidth) : zero;
    emitted[j] = zero;
  }
  const int64_t stride = p.neurons();
  for (int64_t t = 0; t < p.timesteps; ++t) {
    for (int j = 0; j < kCount; ++j) {
      const int64_t at = t * stride + i + j * kWidth;
      const Value current = load<Value>(p.current + (p.constant_current ? i + j * kWidth : at));
      const Value spike = Model::step(current, threshold[j], counts[j] + emitted[j], v[j]);
      emitted[j] = emitted[j] + spike;
      if (p.spikes) store(p.spikes + at, spike);
      if (p.trace) store(p.trace + at, v[j]);
      if (p.bits) store_bits(p, t, i + j * kWidth, spike);
    }
  }
  for (int j = 0; j < kCount; ++j) {
    store(p.final_membrane_potential + i + j * kWidth, v[j]);
    if (p.final_counts) store(p.final_counts + i + j * kWidth, counts[j] + emitted[j]);
    if (p.block_counts) store_integers(p.block_counts + i + j * kWidth, emitted[j]);
  }
}

inline void integrate_fire_vector(const IntegrateFire& p, int64_t begin, int64_t end) {
  with_model(p, [&](auto model) {
    using Model = decltype(model);
    int64_t i = begin;
    for (; i + kTileVectors * kLanes <= end; i += kTileVectors * kLanes) tile<Model, FloatVector, kTileVectors>(p, i);
    for (; i + kLanes <= end; i += kLanes) tile<Model, FloatVector, 1>(p, i);
    for (; i < end; ++i) tile<Model, float, 1>(p, i);
  });
}

}  // namespace
}  // namespace snn_toolbox

#endif  // SNN_TOOLBOX_TF_OPS_CORE_INTEGRATE_FIRE_VECTOR_H_
