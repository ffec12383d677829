// A convolution of spikes, without TensorFlow types: work is done only where there are spikes.
//
// For each output, the rows of the kernel that belong to active inputs are added up; nothing is multiplied. On a dyadic grid
// sums are exact, so that all kernels, and a dense convolution, give the same bits: variant_reference.cc has the plain version.
// A dense layer is a convolution of one position.

#ifndef SNN_TOOLBOX_TF_OPS_CORE_SPIKE_CONVOLUTION_H_
#define SNN_TOOLBOX_TF_OPS_CORE_SPIKE_CONVOLUTION_H_

#include <cstdint>
#include <vector>

#include "integrate_fire.h"

namespace snn_toolbox {

// One axis of the windows.
struct ConvolutionAxis {
  int64_t input = 1;
  int64_t window = 1;
  int64_t stride = 1;
  int64_t dilation = 1;
  int64_t padding = 0;  // in front
  int64_t output = 1;

  // Where the first tap of an output lies; it may be outside.
  SNN_TOOLBOX_INLINE int64_t begin(int64_t at) const { return at * stride - padding; }
};

// Arrays are channels last.
struct SpikeConvolution {
  int64_t samples = 0;
  int64_t inputs = 1, outputs = 1;  // channels
  ConvolutionAxis rows, columns;

  const float* spikes = nullptr;  // [samples, rows, columns, inputs], each 0 or 1
  const float* kernel = nullptr;  // [window rows, window columns, inputs, kernel_stride]
  const float* bias = nullptr;    // [kernel_stride], or none
  int64_t kernel_stride = 1;      // outputs, rounded up to whole vectors
  // [window rows, inputs, window columns backwards, kernel_stride]: what an active input adds to its neighbours. None: each
  // output gathers what it adds up.
  const float* scattered = nullptr;
  float* current = nullptr;       // [samples, output rows, output columns, outputs]

  SNN_TOOLBOX_INLINE int64_t sample_size() const { return rows.input * columns.input * inputs; }
  SNN_TOOLBOX_INLINE int64_t fan_in() const { return rows.window * columns.window * inputs; }
};

// Channels that kernels read at once at most; rows of a kernel are padded to a multiple of it.
constexpr int64_t kChannelsAtOnce = 16;

// What a thread keeps between calls.
struct SpikeConvolutionScratch {
  std::vector<int32_t> positions;  // of spikes in their row of the input, row by row
  std::vector<int32_t> starts;     // where those of a pixel begin; one more per row
  std::vector<int32_t> active;     // rows of the kernel that an output adds up
  std::vector<float> sums;         // of a band, with a margin on both sides of a row
};

// Runs the output rows [first, last) of one sample.
using SpikeConvolutionKernel = void (*)(const SpikeConvolution& convolution, int64_t sample, int64_t first, int64_t last,
                                        SpikeConvolutionScratch* scratch);

// Runs all samples, spread over threads; `kernel_stride` is the number of outputs still.
void run(const SpikeConvolution& convolution, SpikeConvolutionKernel kernel);

}  // namespace snn_toolbox

#endif  // SNN_TOOLBOX_TF_OPS_CORE_SPIKE_CONVOLUTION_H_
