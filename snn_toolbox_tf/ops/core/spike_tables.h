// Narrow convolutions by tables of sums: define SNN_TOOLBOX_VECTOR_BYTES and include this.
//
// What four inputs add to an output is one of 16 sums, what eight add, one of 256. For few outputs, looking it up takes less
// than finding out which inputs are active, and there is nothing that a processor could guess wrong.

#ifndef SNN_TOOLBOX_TF_OPS_CORE_SPIKE_TABLES_H_
#define SNN_TOOLBOX_TF_OPS_CORE_SPIKE_TABLES_H_

#include <type_traits>

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

// Where the inputs of a pixel, 4 or 8 at a time, find their sum, in bytes from the begin of their table.
SNN_TOOLBOX_INLINE void find_entries(const PreparedConvolution& prepared, int64_t group, const BitRows& bits, int64_t rows,
                                     const Margins& margins, uint16_t* offsets) {
  const SpikeConvolution& p = prepared.convolution;
  const int64_t tables = prepared.tables, columns = p.columns.input;
  const auto size = static_cast<unsigned>(prepared.stride * 4), mask = static_cast<unsigned>(prepared.entries() - 1);
  const bool whole_bytes = p.groups == 1 && p.inputs % 8 == 0 && bits.first % 8 == 0;
  for (int64_t row = 0; row < rows; ++row, offsets += margins.width * tables) {
    uint16_t* to = offsets + margins.left * tables;
    for (uint16_t* margin = offsets; margin < to; ++margin) *margin = 0;
    if (whole_bytes) {
      const uint8_t* bytes = bits.bytes + (bits.first + row * columns * p.inputs) / 8;
      const int64_t count = columns * p.inputs / 8;
      if (prepared.table_inputs == 8) {
        for (int64_t i = 0; i < count; ++i) to[i] = static_cast<uint16_t>(bytes[i] * size);
      } else {
        for (int64_t i = 0; i < count; ++i) {
          to[2 * i] = static_cast<uint16_t>((bytes[i] & 15u) * size);
          to[2 * i + 1] = static_cast<uint16_t>((bytes[i] >> 4) * size);
        }
      }
    } else {
      for (int64_t column = 0; column < columns; ++column) {
        const int64_t at = (row * columns + column) * p.inputs + group * prepared.group_inputs;
        // Of the last few, some may be another pixel's: they add nothing.
        for (int64_t i = 0; i < tables; ++i) {
          to[column * tables + i] = static_cast<uint16_t>((bits.from(at + i * prepared.table_inputs) & mask) * size);
        }
      }
    }
    for (uint16_t* margin = to + columns * tables; margin < offsets + margins.width * tables; ++margin) *margin = 0;
  }
}

// The taps of a row of outputs: runs of entries that lie one behind the other, in offsets and in tables.
struct TableRuns {
  int64_t rows, row_offset, row_table;        // rows of the window that lie inside, and steps from one to the next
  int64_t columns, column_offset, column_table;  // runs of a row, likewise
  int64_t size;                               // entries of a run
  int64_t pitch;                              // from an output's offsets to those of the next one
  int64_t table_size;
  const float* table;
  const float* bias;
  int64_t outputs, stored;                    // from an output to the next one, and of this group
};

// Computes `kPixels` neighbouring outputs.
template <int kVectors, int kPixels>
SNN_TOOLBOX_INLINE void add_pixels(const TableRuns& runs, const uint16_t* offsets, float* current) {
  const int64_t size = runs.size, pitch = runs.pitch, table_size = runs.table_size;
  FloatVector sums[kPixels][kVectors];
  for (int pixel = 0; pixel < kPixels; ++pixel) {
    for (int v = 0; v < kVectors; ++v) {
      sums[pixel][v] = runs.bias ? load<FloatVector>(runs.bias + v * kLanes) : FloatVector{};
    }
  }
  for (int64_t row = 0; row < runs.rows; ++row) {
    for (int64_t column = 0; column < runs.columns; ++column) {
      const uint16_t* from = offsets + row * runs.row_offset + column * runs.column_offset;
      const float* table = runs.table + row * runs.row_table + column * runs.column_table;
      for (int64_t i = 0; i < size; ++i, table += table_size) {
        for (int pixel = 0; pixel < kPixels; ++pixel) {
          const char* entry = reinterpret_cast<const char*>(table) + from[pixel * pitch + i];
          for (int v = 0; v < kVectors; ++v) sums[pixel][v] += load<FloatVector>(entry + v * sizeof(FloatVector));
        }
      }
    }
  }
  for (int pixel = 0; pixel < kPixels; ++pixel) {
    store_channels<kVectors>(current + pixel * runs.outputs, sums[pixel], runs.stored);
  }
}

template <int kVectors>
void add_tables_of(const PreparedConvolution& prepared, int64_t group, const InputRows& read, const uint16_t* offsets,
                   int64_t width, int64_t first, int64_t last, float* current) {
  // So many sums side by side hide how long an addition takes.
  constexpr int kPixels = kVectors >= 8 ? 1 : 8 / kVectors;
  const SpikeConvolution& p = prepared.convolution;
  const int64_t tables = prepared.tables, line = width * tables, columns = p.columns.output;
  const bool dilated = p.columns.dilation > 1;
  TableRuns runs;
  runs.table_size = prepared.entries() * kVectors * kLanes;
  runs.row_offset = p.rows.dilation * line;
  runs.row_table = p.columns.window * tables * runs.table_size;
  runs.columns = dilated ? p.columns.window : 1;
  runs.column_offset = p.columns.dilation * tables;
  runs.column_table = tables * runs.table_size;
  runs.size = dilated ? tables : p.columns.window * tables;
  runs.pitch = p.columns.stride * tables;
  runs.bias = prepared.bias(group);
  runs.outputs = p.outputs;
  runs.stored = prepared.group_outputs;
  for (int64_t row = first; row < last; ++row, current += p.row_size()) {
    const int64_t at = p.rows.begin(row);
    const int64_t begin = at < 0 ? (-at + p.rows.dilation - 1) / p.rows.dilation : 0;
    const int64_t inside = (p.rows.input - at + p.rows.dilation - 1) / p.rows.dilation;
    const int64_t end = inside < p.rows.window ? inside : p.rows.window;
    runs.rows = end - begin;
    runs.table = prepared.kernel(group) + begin * runs.row_table;
    const uint16_t* from = offsets + (at + begin * p.rows.dilation - read.top) * line;
    int64_t column = 0;
    for (; column + kPixels <= columns; column += kPixels) {
      add_pixels<kVectors, kPixels>(runs, from + column * runs.pitch, current + column * p.outputs);
    }
    for (; column < columns; ++column) {
      add_pixels<kVectors, 1>(runs, from + column * runs.pitch, current + column * p.outputs);
    }
  }
}

void add_tables(const PreparedConvolution& prepared, int64_t group, const BitRows& bits, const InputRows& read,
                int64_t first, int64_t last, float* current, SpikeScratch* scratch) {
  const Margins margins(prepared.convolution);
  uint16_t* offsets = room(&scratch->offsets, read.count * margins.width * prepared.tables);
  find_entries(prepared, group, bits, read.count, margins, offsets);
  current += group * prepared.group_outputs;
  const auto add = [&](auto vectors) {
    constexpr int kVectors = decltype(vectors)::value * kChannelsAtOnce / kLanes;
    add_tables_of<kVectors>(prepared, group, read, offsets, margins.width, first, last, current);
  };
  switch (prepared.stride / kChannelsAtOnce) {
    case 1: return add(std::integral_constant<int, 1>());
    case 2: return add(std::integral_constant<int, 2>());
    case 3: return add(std::integral_constant<int, 3>());
    default: return add(std::integral_constant<int, 4>());
  }
}

}  // namespace
}  // namespace snn_toolbox

#endif  // SNN_TOOLBOX_TF_OPS_CORE_SPIKE_TABLES_H_
