// Narrow convolutions by tables of sums: define SNN_TOOLBOX_VECTOR_BYTES and include this.
//
// What four inputs add to an output is one of 16 sums. For few outputs, looking it up takes less than finding out which inputs
// are active, and there is nothing that a processor could guess wrong.

#ifndef SNN_TOOLBOX_TF_OPS_CORE_SPIKE_TABLES_H_
#define SNN_TOOLBOX_TF_OPS_CORE_SPIKE_TABLES_H_

#include "spike_rows.h"

namespace snn_toolbox {
// Each file that includes this is compiled for another instruction set: nothing in it may be shared between them.
namespace {

// Stores the first `count` outputs of `kVectors` vectors, or all of them.
template <int kVectors>
SNN_TOOLBOX_INLINE void store_channels(float* to, const FloatVector* values, int64_t count) {
  for (int v = 0; v < kVectors; ++v) {
    const int64_t left = count - v * kLanes;
    if (left >= kLanes) {
      store(to + v * kLanes, values[v]);
    } else {
      for (int64_t lane = 0; lane < left; ++lane) to[v * kLanes + lane] = values[v][lane];
    }
  }
}

// Where each four inputs of a pixel find their sum, in bytes from the begin of their table.
SNN_TOOLBOX_INLINE void find_entries(const PreparedConvolution& prepared, int64_t group, const BitRows& bits, int64_t rows,
                                     const Margins& margins, uint16_t* offsets) {
  const SpikeConvolution& p = prepared.convolution;
  const int64_t tables = prepared.tables, columns = p.columns.input;
  const auto size = static_cast<unsigned>(prepared.stride * 4);
  const bool whole_bytes = p.groups == 1 && p.inputs % 8 == 0 && bits.first % 8 == 0;
  for (int64_t row = 0; row < rows; ++row, offsets += margins.width * tables) {
    uint16_t* to = offsets + margins.left * tables;
    for (uint16_t* margin = offsets; margin < to; ++margin) *margin = 0;
    if (whole_bytes) {
      const uint8_t* bytes = bits.bytes + (bits.first + row * columns * p.inputs) / 8;
      for (int64_t i = 0; i < columns * p.inputs / 8; ++i) {
        to[2 * i] = static_cast<uint16_t>((bytes[i] & 15u) * size);
        to[2 * i + 1] = static_cast<uint16_t>((bytes[i] >> 4) * size);
      }
    } else {
      for (int64_t column = 0; column < columns; ++column) {
        const int64_t at = (row * columns + column) * p.inputs + group * prepared.group_inputs;
        // Of the last four, some may be another pixel's: they add nothing.
        for (int64_t i = 0; i < tables; ++i) {
          to[column * tables + i] = static_cast<uint16_t>((bits.from(at + i * kTableInputs) & 15u) * size);
        }
      }
    }
    for (uint16_t* margin = to + columns * tables; margin < offsets + margins.width * tables; ++margin) *margin = 0;
  }
}

// Adds what `kPixels` neighbouring outputs find in the tables of a run of `count` of them, one after the other.
template <int kVectors, int kPixels>
SNN_TOOLBOX_INLINE void add_run(const uint16_t* offsets, int64_t pitch, int64_t count, const float* table,
                                FloatVector (*sums)[kVectors]) {
  for (int64_t i = 0; i < count; ++i, table += kTableEntries * kVectors * kLanes) {
    for (int pixel = 0; pixel < kPixels; ++pixel) {
      const char* entry = reinterpret_cast<const char*>(table) + offsets[pixel * pitch + i];
      for (int v = 0; v < kVectors; ++v) sums[pixel][v] += load<FloatVector>(entry + v * sizeof(FloatVector));
    }
  }
}

// Computes `kPixels` outputs of a row, from `column` on.
template <int kVectors, int kPixels>
SNN_TOOLBOX_INLINE void add_pixels(const PreparedConvolution& prepared, int64_t group, const InputRows& read,
                                   const uint16_t* offsets, int64_t width, int64_t row, int64_t column, float* current) {
  const SpikeConvolution& p = prepared.convolution;
  const int64_t tables = prepared.tables, pitch = p.columns.stride * tables;
  FloatVector sums[kPixels][kVectors] = {};
  if (const float* bias = prepared.bias(group)) {
    for (int pixel = 0; pixel < kPixels; ++pixel) {
      for (int v = 0; v < kVectors; ++v) sums[pixel][v] = load<FloatVector>(bias + v * kLanes);
    }
  }
  const int64_t table_size = kTableEntries * kVectors * kLanes;
  for (int64_t r = 0; r < p.rows.window; ++r) {
    const int64_t at = p.rows.begin(row) + r * p.rows.dilation;
    if (at < 0 || at >= p.rows.input) continue;
    const uint16_t* from = offsets + (at - read.top) * width * tables + column * pitch;
    const float* table = prepared.kernel(group) + r * p.columns.window * tables * table_size;
    if (p.columns.dilation == 1) {
      add_run<kVectors, kPixels>(from, pitch, p.columns.window * tables, table, sums);
      continue;
    }
    for (int64_t c = 0; c < p.columns.window; ++c) {
      const uint16_t* tap = from + c * p.columns.dilation * tables;
      add_run<kVectors, kPixels>(tap, pitch, tables, table + c * tables * table_size, sums);
    }
  }
  for (int pixel = 0; pixel < kPixels; ++pixel) {
    store_channels<kVectors>(current + (column + pixel) * p.outputs, sums[pixel], prepared.group_outputs);
  }
}

template <int kVectors>
void add_tables_of(const PreparedConvolution& prepared, int64_t group, const InputRows& read, const uint16_t* offsets,
                   int64_t width, int64_t first, int64_t last, float* current) {
  // So many sums side by side hide how long an addition takes.
  constexpr int kPixels = kVectors >= 8 ? 1 : 8 / kVectors;
  const SpikeConvolution& p = prepared.convolution;
  for (int64_t row = first; row < last; ++row, current += p.row_size()) {
    int64_t column = 0;
    for (; column + kPixels <= p.columns.output; column += kPixels) {
      add_pixels<kVectors, kPixels>(prepared, group, read, offsets, width, row, column, current);
    }
    for (; column < p.columns.output; ++column) {
      add_pixels<kVectors, 1>(prepared, group, read, offsets, width, row, column, current);
    }
  }
}

void add_tables(const PreparedConvolution& prepared, int64_t group, const BitRows& bits, const InputRows& read,
                int64_t first, int64_t last, float* current, SpikeScratch* scratch) {
  const Margins margins(prepared.convolution);
  uint16_t* offsets = room(&scratch->offsets, read.count * margins.width * prepared.tables);
  find_entries(prepared, group, bits, read.count, margins, offsets);
  current += group * prepared.group_outputs;
  switch (prepared.stride / kChannelsAtOnce) {
    case 1:
      return add_tables_of<kChannelsAtOnce / kLanes>(prepared, group, read, offsets, margins.width, first, last, current);
    default:
      return add_tables_of<2 * kChannelsAtOnce / kLanes>(prepared, group, read, offsets, margins.width, first, last,
                                                         current);
  }
}

}  // namespace
}  // namespace snn_toolbox

#endif  // SNN_TOOLBOX_TF_OPS_CORE_SPIKE_TABLES_H_
