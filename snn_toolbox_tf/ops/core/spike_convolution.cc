// How a convolution of spikes is laid out, and spread over threads.

#include "spike_convolution.h"

#include <algorithm>
#include <functional>

#include "thread_pool.h"

namespace snn_toolbox {
namespace {

// Tasks a thread, so that one that comes late has less to do.
constexpr int64_t kTasksAThread = 4;
// Tables are for so many outputs at most, padded: of more, their sums leave the cache, and rows are long enough to be gathered.
constexpr int64_t kMostTabled = 32;
// Numbers that the tables of a kernel may take.
constexpr int64_t kLargestTables = 1 << 18;

int64_t rounded_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

Method chosen_method(const PreparedConvolution& p) {
  const SpikeConvolution& c = p.convolution;
  if (!c.kernel) return Method::kCopy;
  if (c.groups > 1 && p.group_inputs == 1 && p.group_outputs == 1) return Method::kDepthwise;
  const int64_t size = c.groups * c.taps() * p.tables * kTableEntries * p.stride;
  return p.stride <= kMostTabled && p.group_inputs > 1 && size <= kLargestTables ? Method::kTable : Method::kGather;
}

}  // namespace

PreparedConvolution::PreparedConvolution(const SpikeConvolution& given) : convolution(given) {
  const SpikeConvolution& c = convolution;
  group_inputs = c.inputs / c.groups;
  group_outputs = c.outputs / c.groups;
  stride = rounded_up(group_outputs, kChannelsAtOnce);
  tables = (group_inputs + kTableInputs - 1) / kTableInputs;
  method = chosen_method(*this);
  if (method == Method::kCopy) return;
  if (method == Method::kDepthwise) {
    // All channels side by side are one row.
    group_outputs = c.outputs;
    stride = rounded_up(c.outputs, kChannelsAtOnce);
  }
  const int64_t groups = c.outputs / group_outputs;
  const auto copy_row = [&](const float* from, float* to) { std::copy_n(from, group_outputs, to); };
  if (c.bias) {
    rows_of_bias.resize(static_cast<size_t>(groups * stride));
    for (int64_t group = 0; group < groups; ++group) {
      copy_row(c.bias + group * group_outputs, rows_of_bias.data() + group * stride);
    }
  }
  const int64_t rows = method == Method::kTable ? tables * kTableEntries : group_inputs;
  rows_of_kernel.resize(static_cast<size_t>(groups * c.taps() * rows * stride));
  float* to = rows_of_kernel.data();
  for (int64_t group = 0; group < groups; ++group) {
    for (int64_t tap = 0; tap < c.taps(); ++tap) {
      const float* from = c.kernel + tap * group_inputs * c.outputs + group * group_outputs;
      if (method != Method::kTable) {
        for (int64_t input = 0; input < group_inputs; ++input, to += stride) copy_row(from + input * c.outputs, to);
        continue;
      }
      for (int64_t first = 0; first < group_inputs; first += kTableInputs, to += kTableEntries * stride) {
        // Each sum is that of one input less, and this input; inputs that there are none of add nothing.
        for (int64_t entry = 1; entry < kTableEntries; ++entry) {
          const int64_t input = first + __builtin_ctzll(static_cast<unsigned long long>(entry));
          const float* less = to + (entry & (entry - 1)) * stride;
          float* sum = to + entry * stride;
          for (int64_t output = 0; output < group_outputs; ++output) {
            sum[output] = less[output] + (input < group_inputs ? from[input * c.outputs + output] : 0.0f);
          }
        }
      }
    }
  }
}

void run(const SpikeConvolution& convolution, SpikeConvolutionKernel kernel, float* current) {
  const PreparedConvolution prepared(convolution);
  ThreadPool& pool = ThreadPool::instance();
  const int64_t rows = convolution.rows.output, row = convolution.row_size();
  const int64_t wanted = kTasksAThread * pool.threads();
  const int64_t bands = pool.threads() == 1 ? 1 : std::min(rows, (wanted + convolution.samples - 1) / convolution.samples);
  const int64_t samples_a_task = std::max<int64_t>(1, convolution.samples / wanted);
  const int64_t groups = (convolution.samples + samples_a_task - 1) / samples_a_task;
  const auto task = [&](int64_t index) {
    thread_local SpikeScratch scratch;
    const int64_t begin = index % bands * rows / bands * row, end = (index % bands + 1) * rows / bands * row;
    const int64_t first = index / bands * samples_a_task;
    for (int64_t sample = first; sample < std::min(first + samples_a_task, convolution.samples); ++sample) {
      kernel(prepared, sample, begin, end, current + sample * rows * row + begin, &scratch);
    }
  };
  pool.run(groups * bands, std::cref(task));
}

}  // namespace snn_toolbox
