// The kernels for one vector width: define SNN_TOOLBOX_VECTOR_BYTES and include this.

#ifndef SNN_TOOLBOX_TF_OPS_CORE_SPIKE_CONVOLUTION_VECTOR_H_
#define SNN_TOOLBOX_TF_OPS_CORE_SPIKE_CONVOLUTION_VECTOR_H_

#include "spike_convolution.h"
#include "spike_rows.h"
#include "spike_tables.h"
#include "vectors.h"

namespace snn_toolbox {
// Each file that includes this is compiled for another instruction set: nothing in it may be shared between them.
namespace {

// Vectors of outputs that stay in registers while rows are added.
constexpr int kMostVectors = kLanes >= 16 ? 16 : 8;

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

// One position's outputs of one group.
struct Position {
  const int32_t* active;  // rows of the kernel
  int32_t count;
  const float* kernel;
  const float* bias;
  int64_t stride, outputs;
  float* current;
};

// Computes the outputs from channel `from` on, and returns how many.
template <int kVectors>
SNN_TOOLBOX_INLINE int64_t fill_channels(const Position& p, int64_t from) {
  FloatVector sums[kVectors];
  for (int v = 0; v < kVectors; ++v) sums[v] = p.bias ? load<FloatVector>(p.bias + from + v * kLanes) : FloatVector{};
  add_rows<kVectors>(p.active, p.count, p.kernel + from, p.stride, sums);
  store_channels<kVectors>(p.current + from, sums, p.outputs - from);
  return kVectors * kLanes;
}

SNN_TOOLBOX_INLINE void fill_position(const Position& p) {
  for (int64_t from = 0; from < p.outputs;) {
    const int64_t vectors = (p.stride - from) / kLanes;
    if (vectors >= kMostVectors) {
      from += fill_channels<kMostVectors>(p, from);
    } else if (vectors >= 8) {
      from += fill_channels<8>(p, from);
    } else if (vectors >= 4) {
      from += fill_channels<4>(p, from);
    } else if (vectors >= 2) {
      from += fill_channels<2>(p, from);
    } else {
      from += fill_channels<1>(p, from);
    }
  }
}

void gather(const PreparedConvolution& prepared, int64_t group, const BitRows& bits, const InputRows& read, int64_t first,
            int64_t last, float* current, SpikeScratch* scratch) {
  const SpikeConvolution& p = prepared.convolution;
  const int64_t columns = p.columns.input, inputs = prepared.group_inputs;
  // Whole vectors are written, and read: a vector more, each.
  int32_t* positions = room(&scratch->positions, read.count * columns * inputs + 2 * kChannelsAtOnce);
  int32_t* starts = room(&scratch->starts, read.count * (columns + 1));
  int32_t* active = room(&scratch->active, p.taps() * inputs + 2 * kChannelsAtOnce);

  int32_t found = 0;
  for (int64_t row = 0; row < read.count; ++row) {
    for (int64_t column = 0; column < columns; ++column) {
      starts[row * (columns + 1) + column] = found;
      const int64_t at = (row * columns + column) * p.inputs + group * inputs;
      found += append_places(bits, at, inputs, static_cast<int32_t>(column * inputs), positions + found);
    }
    starts[row * (columns + 1) + columns] = found;
  }

  Position position = {active, 0, prepared.kernel(group), prepared.bias(group), prepared.stride, prepared.group_outputs,
                       current + group * prepared.group_outputs};
  const bool dilated = p.columns.dilation > 1;
  for (int64_t row = first; row < last; ++row) {
    for (int64_t column = 0; column < p.columns.output; ++column, position.current += p.outputs) {
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
        const int32_t* row_starts = starts + (at - read.top) * (columns + 1);
        if (!dilated) {
          const int64_t from = left > 0 ? left : 0, to = right < columns ? right : columns;
          if (from < to) take(row_starts, from, to, (tap * p.columns.window - left) * inputs);
          continue;
        }
        for (int64_t k = 0; k < p.columns.window; ++k) {
          const int64_t from = left + k * p.columns.dilation;
          if (from < 0 || from >= columns) continue;
          take(row_starts, from, from + 1, (tap * p.columns.window + k - from) * inputs);
        }
      }
      position.count = count;
      fill_position(position);
    }
  }
}

// Computes the channels from `from` on of a row of outputs.
template <int kVectors>
SNN_TOOLBOX_INLINE void convolve_channels(const PreparedConvolution& prepared, const InputRows& read, const float* values,
                                          int64_t width, int64_t row, int64_t from, float* current) {
  const SpikeConvolution& p = prepared.convolution;
  for (int64_t column = 0; column < p.columns.output; ++column) {
    FloatVector sums[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      sums[v] = prepared.bias(0) ? load<FloatVector>(prepared.bias(0) + from + v * kLanes) : FloatVector{};
    }
    for (int64_t r = 0; r < p.rows.window; ++r) {
      const int64_t at = p.rows.begin(row) + r * p.rows.dilation;
      if (at < 0 || at >= p.rows.input) continue;
      const float* spikes = values + ((at - read.top) * width + column * p.columns.stride) * p.inputs + from;
      const float* kernel = prepared.kernel(0) + r * p.columns.window * prepared.stride + from;
      for (int64_t c = 0; c < p.columns.window; ++c) {
        for (int v = 0; v < kVectors; ++v) {
          sums[v] += load<FloatVector>(spikes + v * kLanes) * load<FloatVector>(kernel + v * kLanes);
        }
        spikes += p.columns.dilation * p.inputs;
        kernel += prepared.stride;
      }
    }
    store_channels<kVectors>(current + column * p.outputs + from, sums, p.outputs - from);
  }
}

// Spikes as numbers: of a channel that is convolved for itself, little is saved by leaving out zeros.
void convolve_depthwise(const PreparedConvolution& prepared, const BitRows& bits, const InputRows& read, int64_t first,
                        int64_t last, float* current, SpikeScratch* scratch) {
  const SpikeConvolution& p = prepared.convolution;
  const Margins margins(p);
  const int64_t columns = p.columns.input;
  // Whole vectors are read: those of the last channels reach beyond the last one.
  const int64_t size = read.count * margins.width * p.inputs;
  float* values = room(&scratch->values, size + 4 * kChannelsAtOnce);
  for (int64_t i = 0; i < size + 4 * kChannelsAtOnce; ++i) values[i] = 0.0f;
  for (int64_t row = 0; row < read.count; ++row) {
    float* to = values + (row * margins.width + margins.left) * p.inputs;
    unpack(bits, row * columns * p.inputs, columns * p.inputs, to);
  }
  for (int64_t row = first; row < last; ++row, current += p.row_size()) {
    int64_t from = 0;
    for (; from + 4 * kLanes <= prepared.stride; from += 4 * kLanes) {
      convolve_channels<4>(prepared, read, values, margins.width, row, from, current);
    }
    for (; from < p.outputs; from += kLanes) {
      convolve_channels<1>(prepared, read, values, margins.width, row, from, current);
    }
  }
}

void spike_convolution_vector(const PreparedConvolution& prepared, int64_t sample, int64_t begin, int64_t end,
                              float* current, SpikeScratch* scratch) {
  const SpikeConvolution& p = prepared.convolution;
  if (prepared.method == Method::kCopy) {
    return unpack(spikes_of(p, sample, begin, end, scratch), 0, end - begin, current);
  }
  const int64_t first = begin / p.row_size(), last = end / p.row_size(), row = p.columns.input * p.inputs;
  const InputRows read(p, first, last);
  const BitRows bits = spikes_of(p, sample, read.top * row, (read.top + read.count) * row, scratch);
  if (prepared.method == Method::kDepthwise) {
    return convolve_depthwise(prepared, bits, read, first, last, current, scratch);
  }
  for (int64_t group = 0; group < p.groups; ++group) {
    if (prepared.method == Method::kTable) {
      add_tables(prepared, group, bits, read, first, last, current, scratch);
    } else {
      gather(prepared, group, bits, read, first, last, current, scratch);
    }
  }
}

}  // namespace
}  // namespace snn_toolbox

#endif  // SNN_TOOLBOX_TF_OPS_CORE_SPIKE_CONVOLUTION_VECTOR_H_
