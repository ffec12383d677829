// The kernel for one vector width: define SNN_TOOLBOX_VECTOR_BYTES and include this.

#ifndef SNN_TOOLBOX_TF_OPS_CORE_SPIKE_CONVOLUTION_VECTOR_H_
#define SNN_TOOLBOX_TF_OPS_CORE_SPIKE_CONVOLUTION_VECTOR_H_

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "spike_convolution.h"
#include "vectors.h"

namespace snn_toolbox {
// Each file that includes this is compiled for another instruction set: nothing in it may be shared between them.
namespace {

// Vectors of outputs that stay in registers while rows are added.
constexpr int kMostVectors = kLanes >= 16 ? 16 : 8;

// Appends the places of spikes among `count` values, from `place` on, and returns how many there are. It may write up to a
// vector more than it appends.
SNN_TOOLBOX_INLINE int32_t append_places(const float* spikes, int64_t count, int32_t place, int32_t* places) {
  int32_t found = 0;
  int64_t i = 0;
#if defined(__AVX512F__)
  const __m512i ascending = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  for (; i + 16 <= count; i += 16) {
    const __mmask16 active = _mm512_cmp_ps_mask(_mm512_loadu_ps(spikes + i), _mm512_setzero_ps(), _CMP_NEQ_UQ);
    const __m512i at = _mm512_add_epi32(ascending, _mm512_set1_epi32(place + static_cast<int32_t>(i)));
    _mm512_storeu_si512(places + found, _mm512_maskz_compress_epi32(active, at));
    found += __builtin_popcount(active);
  }
#elif defined(__AVX2__)
  for (; i + 8 <= count; i += 8) {
    const __m256 differs = _mm256_cmp_ps(_mm256_loadu_ps(spikes + i), _mm256_setzero_ps(), _CMP_NEQ_UQ);
    for (unsigned active = static_cast<unsigned>(_mm256_movemask_ps(differs)); active; active &= active - 1) {
      places[found++] = place + static_cast<int32_t>(i) + __builtin_ctz(active);
    }
  }
#endif
  for (; i < count; ++i) {
    places[found] = place + static_cast<int32_t>(i);
    found += spikes[i] != 0.0f;
  }
  return found;
}

// Adds rows of the kernel to `kVectors` vectors of outputs. Several sums side by side hide how long an addition takes.
template <int kVectors>
SNN_TOOLBOX_INLINE void add_rows(const int32_t* active, int32_t count, const float* kernel, int64_t stride,
                                 FloatVector* sums) {
  constexpr int kSide = kVectors >= 4 ? 1 : 4 / kVectors;
  FloatVector side[kSide][kVectors] = {};
  for (int v = 0; v < kVectors; ++v) side[0][v] = sums[v];
  int32_t i = 0;
  for (; i + kSide <= count; i += kSide) {
    for (int s = 0; s < kSide; ++s) {
      const float* row = kernel + active[i + s] * stride;
      for (int v = 0; v < kVectors; ++v) side[s][v] += load<FloatVector>(row + v * kLanes);
    }
  }
  for (; i < count; ++i) {
    const float* row = kernel + active[i] * stride;
    for (int v = 0; v < kVectors; ++v) side[0][v] += load<FloatVector>(row + v * kLanes);
  }
  for (int s = 1; s < kSide; ++s) {
    for (int v = 0; v < kVectors; ++v) side[0][v] += side[s][v];
  }
  for (int v = 0; v < kVectors; ++v) sums[v] = side[0][v];
}

// Computes the outputs of one position from channel `from` on, and returns how many.
template <int kVectors>
SNN_TOOLBOX_INLINE int64_t fill_channels(const SpikeConvolution& p, const int32_t* active, int32_t count, int64_t from,
                                         float* current) {
  FloatVector sums[kVectors] = {};
  if (p.bias) {
    for (int v = 0; v < kVectors; ++v) sums[v] = load<FloatVector>(p.bias + from + v * kLanes);
  }
  add_rows<kVectors>(active, count, p.kernel + from, p.kernel_stride, sums);
  for (int v = 0; v < kVectors; ++v) {
    const int64_t channel = from + v * kLanes, left = p.outputs - channel;
    if (left >= kLanes) {
      store(current + channel, sums[v]);
    } else {
      for (int64_t lane = 0; lane < left; ++lane) current[channel + lane] = sums[v][lane];
    }
  }
  return kVectors * kLanes;
}

SNN_TOOLBOX_INLINE void fill_position(const SpikeConvolution& p, const int32_t* active, int32_t count, float* current) {
  for (int64_t from = 0; from < p.outputs;) {
    const int64_t vectors = (p.kernel_stride - from) / kLanes;
    if (vectors >= kMostVectors) {
      from += fill_channels<kMostVectors>(p, active, count, from, current);
    } else if (vectors >= 8) {
      from += fill_channels<8>(p, active, count, from, current);
    } else if (vectors >= 4) {
      from += fill_channels<4>(p, active, count, from, current);
    } else if (vectors >= 2) {
      from += fill_channels<2>(p, active, count, from, current);
    } else {
      from += fill_channels<1>(p, active, count, from, current);
    }
  }
}

// Rows of the input that a band of outputs reads.
struct InputRows {
  int64_t top, count;
  SNN_TOOLBOX_INLINE InputRows(const SpikeConvolution& p, int64_t first, int64_t last) {
    const int64_t begin = p.rows.begin(first);
    const int64_t end = p.rows.begin(last - 1) + (p.rows.window - 1) * p.rows.dilation + 1;
    top = begin > 0 ? begin : 0;
    const int64_t bottom = end < p.rows.input ? end : p.rows.input;
    count = bottom > top ? bottom - top : 0;
  }
};

template <typename Element>
SNN_TOOLBOX_INLINE Element* room(std::vector<Element>* array, int64_t size) {
  if (static_cast<int64_t>(array->size()) < size) array->resize(static_cast<size_t>(size));
  return array->data();
}

SNN_TOOLBOX_INLINE void add_vectors(const float* from, float* to, int64_t count) {
  for (int64_t i = 0; i < count; i += kLanes) {
    store(to + i, load<FloatVector>(to + i) + load<FloatVector>(from + i));
  }
}

// `kSize` numbers are added at once, if it is not 0.
template <int64_t kSize>
SNN_TOOLBOX_INLINE void scatter_row(const SpikeConvolution& p, const int32_t* places, int32_t count, const float* kernel,
                                    float* sums) {
  const int64_t size = kSize ? kSize : p.columns.window * p.kernel_stride;
  const auto inputs = static_cast<uint32_t>(p.inputs);
  for (int32_t i = 0; i < count; ++i) {
    const auto place = static_cast<uint32_t>(places[i]);
    const uint32_t column = place / inputs, input = place - column * inputs;
    add_vectors(kernel + input * size, sums + column * p.kernel_stride, size);
  }
}

void scatter(const SpikeConvolution& p, int64_t sample, int64_t first, int64_t last, SpikeConvolutionScratch* scratch) {
  const InputRows read(p, first, last);
  const int64_t row_size = p.columns.input * p.inputs, size = p.columns.window * p.kernel_stride;
  const int64_t margin = p.columns.window - 1, sums_row = (p.columns.input + margin) * p.kernel_stride;
  int32_t* places = room(&scratch->positions, row_size + 2 * kChannelsAtOnce);
  float* sums = room(&scratch->sums, (last - first) * sums_row);
  for (int64_t i = 0; i < (last - first) * sums_row; ++i) sums[i] = 0.0f;
  for (int64_t row = read.top; row < read.top + read.count; ++row) {
    const int32_t count = append_places(p.spikes + sample * p.sample_size() + row * row_size, row_size, 0, places);
    for (int64_t tap = 0; tap < p.rows.window; ++tap) {
      const int64_t output = row + p.rows.padding - tap;
      if (output < first || output >= last) continue;
      const float* kernel = p.scattered + tap * p.inputs * size;
      float* to = sums + (output - first) * sums_row;
      switch (size) {
        case 48: scatter_row<48>(p, places, count, kernel, to); break;
        case 80: scatter_row<80>(p, places, count, kernel, to); break;
        case 96: scatter_row<96>(p, places, count, kernel, to); break;
        default: scatter_row<0>(p, places, count, kernel, to);
      }
    }
  }
  float* current = p.current + (sample * p.rows.output + first) * p.columns.output * p.outputs;
  for (int64_t row = first; row < last; ++row) {
    const float* from = sums + (row - first) * sums_row + (margin - p.columns.padding) * p.kernel_stride;
    for (int64_t column = 0; column < p.columns.output; ++column, from += p.kernel_stride, current += p.outputs) {
      for (int64_t i = 0; i < p.outputs; ++i) current[i] = p.bias ? from[i] + p.bias[i] : from[i];
    }
  }
}

void gather(const SpikeConvolution& p, int64_t sample, int64_t first, int64_t last, SpikeConvolutionScratch* scratch) {
  const int64_t columns = p.columns.input, row_size = columns * p.inputs;
  const auto [top, rows] = InputRows(p, first, last);
  // Whole vectors are written, and read: a vector more, each.
  int32_t* positions = room(&scratch->positions, rows * row_size + 2 * kChannelsAtOnce);
  int32_t* starts = room(&scratch->starts, rows * (columns + 1));
  int32_t* active = room(&scratch->active, p.fan_in() + 2 * kChannelsAtOnce);

  int32_t found = 0;
  for (int64_t row = 0; row < rows; ++row) {
    const float* spikes = p.spikes + sample * p.sample_size() + (top + row) * row_size;
    for (int64_t column = 0; column < columns; ++column) {
      starts[row * (columns + 1) + column] = found;
      found += append_places(spikes + column * p.inputs, p.inputs, static_cast<int32_t>(column * p.inputs),
                             positions + found);
    }
    starts[row * (columns + 1) + columns] = found;
  }

  float* current = p.current + (sample * p.rows.output + first) * p.columns.output * p.outputs;
  const bool dilated = p.columns.dilation > 1;
  for (int64_t row = first; row < last; ++row) {
    for (int64_t column = 0; column < p.columns.output; ++column, current += p.outputs) {
      int32_t count = 0;
      // Places in the input's row become rows of the kernel.
      const auto take = [&](const int32_t* row_starts, int64_t from, int64_t to, int64_t shift) {
        const int32_t begin = row_starts[from], length = row_starts[to] - begin;
        const IntVector shifts = IntVector{} + static_cast<int32_t>(shift);
        for (int32_t i = 0; i < length; i += kLanes) {
          store(active + count + i, load<IntVector>(positions + begin + i) + shifts);
        }
        count += length;
      };
      const int64_t left = p.columns.begin(column), right = left + p.columns.window;
      for (int64_t tap = 0; tap < p.rows.window; ++tap) {
        const int64_t at = p.rows.begin(row) + tap * p.rows.dilation;
        if (at < 0 || at >= p.rows.input) continue;
        const int32_t* row_starts = starts + (at - top) * (columns + 1);
        if (!dilated) {
          const int64_t from = left > 0 ? left : 0, to = right < columns ? right : columns;
          if (from < to) take(row_starts, from, to, (tap * p.columns.window - left) * p.inputs);
          continue;
        }
        for (int64_t k = 0; k < p.columns.window; ++k) {
          const int64_t from = left + k * p.columns.dilation;
          if (from < 0 || from >= columns) continue;
          take(row_starts, from, from + 1, (tap * p.columns.window + k - from) * p.inputs);
        }
      }
      fill_position(p, active, count, current);
    }
  }
}

void spike_convolution_vector(const SpikeConvolution& p, int64_t sample, int64_t first, int64_t last,
                              SpikeConvolutionScratch* scratch) {
  if (p.scattered) {
    scatter(p, sample, first, last, scratch);
  } else {
    gather(p, sample, first, last, scratch);
  }
}

}  // namespace
}  // namespace snn_toolbox

#endif  // SNN_TOOLBOX_TF_OPS_CORE_SPIKE_CONVOLUTION_VECTOR_H_
