// The spikes that a band of outputs reads, as bits: define SNN_TOOLBOX_VECTOR_BYTES and include this.

#ifndef SNN_TOOLBOX_TF_OPS_CORE_SPIKE_ROWS_H_
#define SNN_TOOLBOX_TF_OPS_CORE_SPIKE_ROWS_H_

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "spike_convolution.h"
#include "vectors.h"

namespace snn_toolbox {
// Each file that includes this is compiled for another instruction set: nothing in it may be shared between them.
namespace {

template <typename Array>
SNN_TOOLBOX_INLINE typename Array::value_type* room(Array* array, int64_t size) {
  if (static_cast<int64_t>(array->size()) < size) array->resize(static_cast<size_t>(size));
  return array->data();
}

// Bytes that may be read beyond the last one.
constexpr int64_t kSlackBytes = 8;

struct BitRows {
  const uint8_t* bytes;
  int64_t first;  // bit

  // At least 25 bits from `at` on; the lowest is the first.
  SNN_TOOLBOX_INLINE uint32_t from(int64_t at) const {
    const int64_t bit = first + at;
    return load<uint32_t>(bytes + bit / 8) >> (bit % 8);
  }
};

// Packs `count` spikes. Bits behind the last one are 0 up to whole bytes.
SNN_TOOLBOX_INLINE void pack(const float* spikes, int64_t count, uint8_t* bits) {
  int64_t i = 0;
#if defined(__AVX512F__)
  for (; i + 16 <= count; i += 16) {
    const auto active = _mm512_cmp_ps_mask(_mm512_loadu_ps(spikes + i), _mm512_setzero_ps(), _CMP_NEQ_UQ);
    store(bits + i / 8, static_cast<uint16_t>(active));
  }
#elif defined(__AVX2__)
  for (; i + 8 <= count; i += 8) {
    const __m256 differs = _mm256_cmp_ps(_mm256_loadu_ps(spikes + i), _mm256_setzero_ps(), _CMP_NEQ_UQ);
    bits[i / 8] = static_cast<uint8_t>(_mm256_movemask_ps(differs));
  }
#endif
  for (; i < count; i += 8) {
    unsigned byte = 0;
    for (int64_t j = i; j < count && j < i + 8; ++j) byte |= (spikes[j] != 0.0f ? 1u : 0u) << (j - i);
    bits[i / 8] = static_cast<uint8_t>(byte);
  }
}

// The spikes [begin, end) of a source.
SNN_TOOLBOX_INLINE BitRows source_spikes(const SpikeConvolution& p, int64_t sample, int64_t begin, int64_t end,
                                         std::vector<uint8_t>* scratch) {
  const int64_t from = begin / 8, bytes = (end + 7) / 8 - from;
  uint8_t* bits = room(scratch, bytes + kSlackBytes + 1);
  if (p.bits) {
    __builtin_memcpy(bits, p.bits + sample * p.bytes_per_sample() + from, static_cast<size_t>(bytes));
    return {bits, begin % 8};
  }
  pack(p.spikes + sample * p.source_size + begin, end - begin, bits);
  return {bits, 0};
}

// Packs the spikes of a source that stand at `count` places; -1 stands for none.
SNN_TOOLBOX_INLINE void pick(const uint8_t* source, const int32_t* places, int64_t count, uint8_t* bits) {
  int64_t i = 0;
#if defined(__AVX512F__)
  for (; i + 16 <= count; i += 16) {
    const __m512i at = _mm512_loadu_si512(places + i);
    const __mmask16 there = _mm512_cmpge_epi32_mask(at, _mm512_setzero_si512());
    const __m512i words = _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), there, _mm512_maskz_srai_epi32(there, at, 5), source, 4);
    const __m512i bit = _mm512_maskz_sllv_epi32(there, _mm512_set1_epi32(1), at & _mm512_set1_epi64(0x1f0000001fLL));
    store(bits + i / 8, static_cast<uint16_t>(_mm512_test_epi32_mask(words, bit)));
  }
#endif
  for (; i < count; i += 8) {
    unsigned byte = 0;
    for (int64_t j = i; j < count && j < i + 8; ++j) {
      const int32_t at = places[j];
      byte |= (at < 0 ? 0u : source[at / 8] >> (at % 8) & 1u) << (j - i);
    }
    bits[i / 8] = static_cast<uint8_t>(byte);
  }
}

// The inputs [begin, end) of a sample.
SNN_TOOLBOX_INLINE BitRows spikes_of(const SpikeConvolution& p, int64_t sample, int64_t begin, int64_t end,
                                     SpikeScratch* scratch) {
  if (!p.moved) return source_spikes(p, sample, begin, end, &scratch->bits);
  const BitRows source = source_spikes(p, sample, 0, p.source_size, &scratch->source);
  uint8_t* bits = room(&scratch->bits, (end - begin + 7) / 8 + kSlackBytes + 1);
  pick(source.bytes, p.moved + begin, end - begin, bits);
  return {bits, 0};
}

// Appends the places of spikes among `count` bits, from `place` on, and returns how many there are. It may write up to a
// vector more than it appends.
SNN_TOOLBOX_INLINE int32_t append_places(const BitRows& bits, int64_t at, int64_t count, int32_t place, int32_t* places) {
  int32_t found = 0;
  for (int64_t i = 0; i < count; i += 16) {
    uint32_t active = bits.from(at + i) & 0xffffu;
    if (count - i < 16) active &= (1u << (count - i)) - 1u;
    const int32_t base = place + static_cast<int32_t>(i);
#if defined(__AVX512F__)
    const __m512i ascending = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i here = _mm512_add_epi32(ascending, _mm512_set1_epi32(base));
    _mm512_storeu_si512(places + found, _mm512_maskz_compress_epi32(static_cast<__mmask16>(active), here));
    found += __builtin_popcount(active);
#else
    for (; active; active &= active - 1) places[found++] = base + __builtin_ctz(active);
#endif
  }
  return found;
}

// Writes `count` spikes as numbers.
SNN_TOOLBOX_INLINE void unpack(const BitRows& bits, int64_t at, int64_t count, float* values) {
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    const uint32_t active = bits.from(at + i);
#if defined(__AVX512F__)
    _mm512_storeu_ps(values + i, _mm512_maskz_mov_ps(static_cast<__mmask16>(active), _mm512_set1_ps(1.0f)));
#else
    for (int j = 0; j < 16; ++j) values[i + j] = static_cast<float>(active >> j & 1u);
#endif
  }
  for (; i < count; ++i) values[i] = static_cast<float>(bits.from(at + i) & 1u);
}

// Rows of the input that the output rows [first, last) read.
struct InputRows {
  int64_t top, count;
  SNN_TOOLBOX_INLINE InputRows(const SpikeConvolution& p, int64_t first, int64_t last) {
    const int64_t begin = p.rows.begin(first);
    const int64_t end = p.rows.begin(last - 1) + (p.rows.window - 1) * p.rows.dilation + 1;
    top = begin > 0 ? begin : 0;
    const int64_t bottom = end < p.rows.input ? end : p.rows.input;
    if (top > p.rows.input) top = p.rows.input;
    count = bottom > top ? bottom - top : 0;
  }
};

// Columns of the input, and the columns of zeros beside them that windows reach into.
struct Margins {
  int64_t left, width;
  SNN_TOOLBOX_INLINE explicit Margins(const SpikeConvolution& p) {
    const ConvolutionAxis& axis = p.columns;
    const int64_t end = axis.begin(axis.output - 1) + (axis.window - 1) * axis.dilation + 1;
    left = axis.padding;
    width = left + (end > axis.input ? end : axis.input);
  }
};

}  // namespace
}  // namespace snn_toolbox

#endif  // SNN_TOOLBOX_TF_OPS_CORE_SPIKE_ROWS_H_
