// The kernel for one vector width: define SNN_TOOLBOX_VECTOR_BYTES and include this.

#ifndef SNN_TOOLBOX_TF_OPS_CORE_INTEGRATE_FIRE_VECTOR_H_
#define SNN_TOOLBOX_TF_OPS_CORE_INTEGRATE_FIRE_VECTOR_H_

#include <type_traits>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "integrate_fire.h"
#include "neuron_models.h"
#include "vectors.h"

namespace snn_toolbox {
namespace {

// Vectors that a tile of neurons takes: so many streams of membrane potentials stay in registers over all timesteps.
constexpr int kTileVectors = 4;

SNN_TOOLBOX_INLINE void store_integers(int32_t* to, const FloatVector& value) {
  store(to, __builtin_convertvector(value, IntVector));
}

SNN_TOOLBOX_INLINE void store_integers(int32_t* to, const float& value) {
  *to = static_cast<int32_t>(value);
}

SNN_TOOLBOX_INLINE FloatVector load_integers(const int32_t* from, const FloatVector&) {
  return __builtin_convertvector(load<IntVector>(from), FloatVector);
}

SNN_TOOLBOX_INLINE float load_integers(const int32_t* from, const float&) {
  return static_cast<float>(*from);
}

// The values of the neurons i, i + 1, ... that one value holds.
SNN_TOOLBOX_INLINE float spread(const PerChannel& per_channel, int64_t i, const float&) {
  return per_channel.at(i);
}

SNN_TOOLBOX_INLINE FloatVector spread(const PerChannel& per_channel, int64_t i, const FloatVector&) {
  const FloatVector zero = {};
  const int64_t channel = (i / per_channel.inner) % per_channel.channels;
  const bool one_channel = per_channel.channels == 1 || i % per_channel.inner + kLanes <= per_channel.inner;
  if (one_channel) return zero + per_channel.values[channel];
  if (per_channel.inner == 1 && channel + kLanes <= per_channel.channels) {
    return load<FloatVector>(per_channel.values + channel);
  }
  float lanes[kLanes];
  for (int lane = 0; lane < kLanes; ++lane) lanes[lane] = per_channel.at(i + lane);
  return load<FloatVector>(lanes);
}

// Where the bits of a tile's neurons go: all of them are one sample's.
struct BitPlaces {
  uint8_t* bytes;  // of the sample, at the tile's first timestep
  int64_t stride;  // from one timestep to the next
  int64_t neuron;  // of the sample

  SNN_TOOLBOX_INLINE BitPlaces(const IntegrateFire& p, int64_t t, int64_t i) {
    const int64_t sample = p.bits ? i / p.sample_size : 0;
    stride = p.samples * p.bytes_per_sample();
    bytes = p.bits ? p.bits + t * stride + sample * p.bytes_per_sample() : nullptr;
    neuron = i - sample * p.sample_size;
  }
};

SNN_TOOLBOX_INLINE void store_bits(uint8_t* bytes, int64_t neuron, const FloatVector& spike) {
  bytes += neuron / 8;
#if SNN_TOOLBOX_VECTOR_BYTES == 64
  const auto fired = _mm512_cmp_ps_mask(reinterpret_cast<const __m512&>(spike), _mm512_setzero_ps(), _CMP_GT_OQ);
  store(bytes, static_cast<uint16_t>(fired));
#elif SNN_TOOLBOX_VECTOR_BYTES == 32
  const __m256 fired = _mm256_cmp_ps(reinterpret_cast<const __m256&>(spike), _mm256_setzero_ps(), _CMP_GT_OQ);
  *bytes = static_cast<uint8_t>(_mm256_movemask_ps(fired));
#else
  // Half a byte: the first half starts it, the second completes it.
  const FloatVector zero = {};
  const IntVector fired = spike > zero;
  unsigned nibble = 0;
  for (int lane = 0; lane < kLanes; ++lane) nibble |= (fired[lane] & 1u) << lane;
  const unsigned shift = static_cast<unsigned>(neuron % 8);
  *bytes = static_cast<uint8_t>((shift ? *bytes : 0u) | nibble << shift);
#endif
}

SNN_TOOLBOX_INLINE void store_bits(uint8_t* bytes, int64_t neuron, const float& spike) {
  uint8_t& byte = bytes[neuron / 8];
  const unsigned shift = static_cast<unsigned>(neuron % 8), fired = spike > 0.0f ? 1u : 0u;
  byte = static_cast<uint8_t>((shift ? byte : 0u) | fired << shift);
}

// The gains of a tile's neurons, read once for all timesteps.
template <typename Value, int kCount>
struct Gains {
  Value values[IntegrateFire::kMaximalCurrents][kCount];
};

// The current at timestep t of value j of a tile that starts at neuron `first`. kPlain: there is one current, without a gain.
template <bool kPlain, typename Value, int kCount>
SNN_TOOLBOX_INLINE Value summed_current(const IntegrateFire& p, const Gains<Value, kCount>& gains,
                                                           int64_t t, int64_t first, int j) {
  const int64_t i = first + j * static_cast<int64_t>(sizeof(Value) / sizeof(float));
  const auto value = [&](const Current& current) { return load<Value>(current.at(t, i)); };
  if (kPlain) return value(p.currents[0]);
  Value sum = value(p.currents[0]);
  if (p.currents[0].gain.values) sum = sum * gains.values[0][j];
  for (int k = 1; k < p.number_of_currents; ++k) {
    const Value next = value(p.currents[k]);
    sum = sum + (p.currents[k].gain.values ? next * gains.values[k][j] : next);
  }
  return sum;
}

// Timesteps [begin, end) of kCount values (vectors, or single floats) of neurons from i on. What the timesteps before have
// left is in the outputs.
template <typename Model, bool kPlain, typename Value, int kCount>
SNN_TOOLBOX_INLINE void tile(const IntegrateFire& p, const Model& model, int64_t i, int64_t begin, int64_t end) {
  constexpr int64_t kWidth = sizeof(Value) / sizeof(float);
  const float* potentials = begin == 0 ? p.membrane_potential : p.final_membrane_potential;
  const float* counts = begin == 0 ? p.counts : p.final_counts;
  const Value zero = {};
  Value v[kCount], threshold[kCount], net_spikes[kCount], emitted[kCount];
  Value hidden[kCount][Model::kHidden + 1];  // no array is empty
  Gains<Value, kCount> gains;
  for (int j = 0; j < kCount; ++j) {
    const int64_t at = i + j * kWidth;
    v[j] = load<Value>(potentials + at);
    threshold[j] = spread(p.threshold, at, zero);
    net_spikes[j] = counts ? load<Value>(counts + at) : zero;
    emitted[j] = begin == 0 || !p.block_counts ? zero : load_integers(p.block_counts + at, zero);
    for (int k = 0; k < Model::kHidden; ++k) hidden[j][k] = load<Value>((begin == 0 ? p.hidden[k] : p.final_hidden[k]) + at);
    for (int k = 0; !kPlain && k < p.number_of_currents; ++k) {
      if (p.currents[k].gain.values) gains.values[k][j] = spread(p.currents[k].gain, at, zero);
    }
  }
  BitPlaces bits(p, begin, i);
  for (int64_t t = begin; t < end; ++t, bits.bytes += bits.stride) {
    for (int j = 0; j < kCount; ++j) {
      const int64_t at = t * p.neurons() + i + j * kWidth;
      const Value current = summed_current<kPlain>(p, gains, t, i, j);
      const Value spike = model.step(current, threshold[j], net_spikes[j], v[j], hidden[j]);
      net_spikes[j] = net_spikes[j] + spike;
      emitted[j] = emitted[j] + spike;
      if (p.spikes) store(p.spikes + at, spike);
      if (p.trace) store(p.trace + at, v[j]);
      if (p.bits) store_bits(bits.bytes, bits.neuron + j * kWidth, spike);
    }
  }
  for (int j = 0; j < kCount; ++j) {
    const int64_t at = i + j * kWidth;
    store(p.final_membrane_potential + at, v[j]);
    for (int k = 0; k < Model::kHidden; ++k) store(p.final_hidden[k] + at, hidden[j][k]);
    if (p.final_counts) store(p.final_counts + at, net_spikes[j]);
    if (p.block_counts) store_integers(p.block_counts + at, emitted[j]);
  }
}

// So many timesteps are read side by side: of more streams than a cache has ways, one evicts the other.
constexpr int64_t kTimesteps = 8;
// Neurons that take all their timesteps before the next ones: their membrane potentials stay in the first cache.
constexpr int64_t kNeurons = 1024;

template <typename Model, bool kPlain>
void run_tiles(const IntegrateFire& p, const Model& model, int64_t begin, int64_t end) {
  for (int64_t first = begin; first < end; first += kNeurons) {
    const int64_t last = first + kNeurons < end ? first + kNeurons : end;
    for (int64_t t = 0; t < p.timesteps; t += kTimesteps) {
      const int64_t until = t + kTimesteps < p.timesteps ? t + kTimesteps : p.timesteps;
      int64_t i = first;
      for (; i + kTileVectors * kLanes <= last; i += kTileVectors * kLanes) {
        tile<Model, kPlain, FloatVector, kTileVectors>(p, model, i, t, until);
      }
      for (; i + kLanes <= last; i += kLanes) tile<Model, kPlain, FloatVector, 1>(p, model, i, t, until);
      for (; i < last; ++i) tile<Model, kPlain, float, 1>(p, model, i, t, until);
    }
  }
}

void integrate_fire_vector(const IntegrateFire& p, int64_t begin, int64_t end) {
  const bool plain = p.number_of_currents == 1 && !p.currents[0].gain.values;
  with_model(p.neuron, [&](const auto& model) {
    using Model = std::decay_t<decltype(model)>;
    if (plain) {
      run_tiles<Model, true>(p, model, begin, end);
    } else {
      run_tiles<Model, false>(p, model, begin, end);
    }
  });
}

}  // namespace
}  // namespace snn_toolbox

#endif  // SNN_TOOLBOX_TF_OPS_CORE_INTEGRATE_FIRE_VECTOR_H_
