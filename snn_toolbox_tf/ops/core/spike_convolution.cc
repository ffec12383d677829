// How a convolution of spikes is spread over threads.

#include "spike_convolution.h"

#include <algorithm>
#include <functional>

#include "thread_pool.h"

namespace snn_toolbox {
namespace {

// Tasks a thread, so that one that comes late has less to do.
constexpr int64_t kTasksAThread = 4;
// Outputs, with padding, up to which scattering is faster.
constexpr int64_t kMostScattered = 32;

// Rows of channels, each followed by zeros up to whole vectors.
std::vector<float> padded_rows(const float* values, int64_t rows, int64_t outputs, int64_t stride) {
  std::vector<float> padded(static_cast<size_t>(rows * stride));
  for (int64_t row = 0; row < rows; ++row) {
    std::copy_n(values + row * outputs, outputs, padded.begin() + row * stride);
  }
  return padded;
}

// Whether inputs add to outputs, rather than outputs gathering inputs: no list of short rows has to be made then, at the price
// of a store for each addition.
bool scatters(const SpikeConvolution& p) {
  const auto is_plain = [](const ConvolutionAxis& axis) { return axis.stride == 1 && axis.dilation == 1; };
  return is_plain(p.rows) && is_plain(p.columns) && p.kernel_stride <= kMostScattered &&
         p.rows.window * p.columns.window > 1;
}

std::vector<float> scattered_kernel(const SpikeConvolution& p) {
  std::vector<float> scattered(static_cast<size_t>(p.fan_in() * p.kernel_stride));
  auto to = scattered.begin();
  for (int64_t row = 0; row < p.rows.window; ++row) {
    for (int64_t input = 0; input < p.inputs; ++input) {
      for (int64_t column = p.columns.window - 1; column >= 0; --column) {
        const int64_t from = (row * p.columns.window + column) * p.inputs + input;
        to = std::copy_n(p.kernel + from * p.kernel_stride, p.kernel_stride, to);
      }
    }
  }
  return scattered;
}

}  // namespace

void run(const SpikeConvolution& given, SpikeConvolutionKernel kernel) {
  SpikeConvolution convolution = given;
  std::vector<float> padded_kernel, padded_bias;
  convolution.kernel_stride = (given.outputs + kChannelsAtOnce - 1) / kChannelsAtOnce * kChannelsAtOnce;
  if (convolution.kernel_stride != given.outputs) {
    padded_kernel = padded_rows(given.kernel, given.fan_in(), given.outputs, convolution.kernel_stride);
    convolution.kernel = padded_kernel.data();
    if (given.bias) {
      padded_bias = padded_rows(given.bias, 1, given.outputs, convolution.kernel_stride);
      convolution.bias = padded_bias.data();
    }
  }
  std::vector<float> scattered;
  if (scatters(convolution)) {
    scattered = scattered_kernel(convolution);
    convolution.scattered = scattered.data();
  }
  ThreadPool& pool = ThreadPool::instance();
  const int64_t rows = convolution.rows.output;
  const int64_t wanted = kTasksAThread * pool.threads();
  const int64_t bands = pool.threads() == 1 ? 1 : std::min(rows, (wanted + given.samples - 1) / given.samples);
  const int64_t samples_a_task = std::max<int64_t>(1, given.samples / wanted);
  const int64_t groups = (given.samples + samples_a_task - 1) / samples_a_task;
  const auto task = [&](int64_t index) {
    thread_local SpikeConvolutionScratch scratch;
    const int64_t band = index % bands, first = index / bands * samples_a_task;
    for (int64_t sample = first; sample < std::min(first + samples_a_task, given.samples); ++sample) {
      kernel(convolution, sample, band * rows / bands, (band + 1) * rows / bands, &scratch);
    }
  };
  pool.run(groups * bands, std::cref(task));
}

}  // namespace snn_toolbox
