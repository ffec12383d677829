// Max pooling of accumulated currents, without TensorFlow types.
//
// The maximum over a window is taken of the currents summed over time, S += I, and what is passed on is by how much it
// moved: J(t) = maxpool(S(t)) - maxpool(S(t - 1)). Sums are kept in float64, in which they are exact on a grid.

#ifndef SNN_TOOLBOX_TF_OPS_CORE_ACCUMULATE_MAX_POOL_H_
#define SNN_TOOLBOX_TF_OPS_CORE_ACCUMULATE_MAX_POOL_H_

#include <cstdint>

#include "integrate_fire.h"

namespace snn_toolbox {

// One axis of the windows.
struct WindowAxis {
  int64_t input = 1;
  int64_t pool = 1;
  int64_t stride = 1;
  int64_t padding = 0;  // in front
  int64_t output = 1;

  SNN_TOOLBOX_INLINE int64_t begin(int64_t at) const { return at * stride > padding ? at * stride - padding : 0; }
  SNN_TOOLBOX_INLINE int64_t end(int64_t at) const {
    const int64_t end = at * stride - padding + pool;
    return end < input ? end : input;
  }
};

// Arrays are channels last; the final sums may be the same array as the sums before.
struct AccumulateMaxPool {
  int64_t timesteps = 1;
  int64_t samples = 0;
  int64_t channels = 1;
  WindowAxis rows, columns;

  const float* current = nullptr;       // [timesteps, samples, rows, columns, channels]
  const double* accumulated = nullptr;  // [samples, rows, columns, channels]
  double* final_accumulated = nullptr;
  float* pooled = nullptr;  // [timesteps, samples, output rows, output columns, channels]

  // Bands are independent of one another: an output row each, or all of them if windows share rows.
  SNN_TOOLBOX_INLINE int64_t bands() const { return rows.stride >= rows.pool ? rows.output : 1; }
  SNN_TOOLBOX_INLINE int64_t scratch_size() const { return rows.output / bands() * columns.output * channels; }
};

// Runs one band of one sample; `scratch` has room for scratch_size() numbers.
using AccumulateMaxPoolKernel = void (*)(const AccumulateMaxPool& pool, int64_t sample, int64_t band, double* scratch);

// Runs all samples, spread over threads.
void run(const AccumulateMaxPool& pool, AccumulateMaxPoolKernel kernel);

}  // namespace snn_toolbox

#endif  // SNN_TOOLBOX_TF_OPS_CORE_ACCUMULATE_MAX_POOL_H_
