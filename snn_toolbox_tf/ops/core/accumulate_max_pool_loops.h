// The kernel as plain loops over channels, which compilers turn into vectors of whatever width they are told.

#ifndef SNN_TOOLBOX_TF_OPS_CORE_ACCUMULATE_MAX_POOL_LOOPS_H_
#define SNN_TOOLBOX_TF_OPS_CORE_ACCUMULATE_MAX_POOL_LOOPS_H_

#include "accumulate_max_pool.h"

namespace snn_toolbox {
// Each file that includes this is compiled for another instruction set: nothing in it may be shared between them.
namespace {

// The maximum over one window, for all channels; `sums` is a sample's.
SNN_TOOLBOX_INLINE void pool_window(const AccumulateMaxPool& p, const double* sums, int64_t row, int64_t column,
                        double* __restrict__ maximum) {
  bool first = true;
  for (int64_t r = p.rows.begin(row); r < p.rows.end(row); ++r) {
    for (int64_t c = p.columns.begin(column); c < p.columns.end(column); ++c) {
      const double* __restrict__ sum = sums + (r * p.columns.input + c) * p.channels;
      if (first) {
        for (int64_t i = 0; i < p.channels; ++i) maximum[i] = sum[i];
      } else {
        for (int64_t i = 0; i < p.channels; ++i) maximum[i] = sum[i] > maximum[i] ? sum[i] : maximum[i];
      }
      first = false;
    }
  }
}

SNN_TOOLBOX_INLINE void accumulate(const float* __restrict__ current, double* __restrict__ sums, int64_t count) {
  for (int64_t i = 0; i < count; ++i) sums[i] += static_cast<double>(current[i]);
}

// Channels that are pooled at once, on the stack.
constexpr int64_t kChannels = 512;

// Pools one window anew and writes by how much it moved since `before`.
SNN_TOOLBOX_INLINE void pool_difference(const AccumulateMaxPool& p, const double* sums, int64_t row, int64_t column,
                            double* __restrict__ before, float* __restrict__ moved) {
  double maximum[kChannels];
  if (p.channels <= kChannels) {
    pool_window(p, sums, row, column, maximum);
    for (int64_t i = 0; i < p.channels; ++i) {
      moved[i] = static_cast<float>(maximum[i] - before[i]);
      before[i] = maximum[i];
    }
    return;
  }
  for (int64_t i = 0; i < p.channels; ++i) {
    double largest = 0.0;
    bool first = true;
    for (int64_t r = p.rows.begin(row); r < p.rows.end(row); ++r) {
      for (int64_t c = p.columns.begin(column); c < p.columns.end(column); ++c) {
        const double sum = sums[(r * p.columns.input + c) * p.channels + i];
        largest = first || sum > largest ? sum : largest;
        first = false;
      }
    }
    moved[i] = static_cast<float>(largest - before[i]);
    before[i] = largest;
  }
}

void accumulate_max_pool_loops(const AccumulateMaxPool& p, int64_t sample, int64_t band, double* scratch) {
  const int64_t row_size = p.columns.input * p.channels, output_row = p.columns.output * p.channels;
  const int64_t rows_a_band = p.rows.output / p.bands();
  const int64_t first = band * rows_a_band, last = first + rows_a_band;
  // Rows that no window reads belong to the band before them.
  const int64_t from = band == 0 ? 0 : p.rows.begin(first);
  const int64_t to = band + 1 == p.bands() ? p.rows.input : p.rows.begin(last);
  double* sums = p.final_accumulated + sample * p.rows.input * row_size;
  if (p.accumulated != p.final_accumulated) {
    const double* before = p.accumulated + sample * p.rows.input * row_size;
    for (int64_t i = from * row_size; i < to * row_size; ++i) sums[i] = before[i];
  }
  for (int64_t row = first; row < last; ++row) {
    for (int64_t column = 0; column < p.columns.output; ++column) {
      pool_window(p, sums, row, column, scratch + (row - first) * output_row + column * p.channels);
    }
  }
  for (int64_t t = 0; t < p.timesteps; ++t) {
    const int64_t at = t * p.samples + sample;
    accumulate(p.current + (at * p.rows.input + from) * row_size, sums + from * row_size, (to - from) * row_size);
    for (int64_t row = first; row < last; ++row) {
      for (int64_t column = 0; column < p.columns.output; ++column) {
        pool_difference(p, sums, row, column, scratch + (row - first) * output_row + column * p.channels,
                        p.pooled + (at * p.rows.output + row) * output_row + column * p.channels);
      }
    }
  }
}

}  // namespace
}  // namespace snn_toolbox

#endif  // SNN_TOOLBOX_TF_OPS_CORE_ACCUMULATE_MAX_POOL_LOOPS_H_
