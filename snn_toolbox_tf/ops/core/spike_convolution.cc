// How a convolution of spikes is laid out, and spread over threads.

#include "spike_convolution.h"

#include <algorithm>
#include <functional>

#include "thread_pool.h"

namespace snn_toolbox {
namespace {

// Tables are for so many outputs at most, padded: rows of more are long enough to be gathered.
constexpr int64_t kMostTabled = 64;
// What an output costs, in nanoseconds on one machine: only ratios count. Each 16 outputs: a row that is gathered from the first
// cache, or from behind it; a sum that is looked up in small tables, or in large ones. Each output: making its list of rows.
constexpr double kNearRow = 0.35, kFarRow = 0.6, kSmallTableSum = 0.45, kLargeTableSum = 0.7;
constexpr double kList = 12.0, kListOfWindowRow = 5.0;
// Bytes of a kernel that is near.
constexpr int64_t kNear = 1 << 16;
// Bytes that the tables of a kernel may take.
constexpr int64_t kLargestTables = 3 << 19;
// Outputs for each of which a table of 256 sums is worth being made.
constexpr int64_t kWorthLargeTables = 1 << 12;

int64_t rounded_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

// The share of active inputs, of some that lie all over the samples.
double rate_of(const SpikeConvolution& p) {
  constexpr int64_t kLooks = 64, kRun = 64;
  const int64_t size = p.bits ? p.samples * p.bytes_per_sample() : p.samples * p.source_size;
  const int64_t looks = std::min(kLooks, (size + kRun - 1) / kRun);
  int64_t active = 0, seen = 0;
  for (int64_t look = 0; look < looks; ++look) {
    const int64_t begin = look * std::max<int64_t>(0, size - kRun) / std::max<int64_t>(1, looks - 1);
    const int64_t end = std::min(size, begin + kRun);
    for (int64_t i = begin; i < end; ++i) active += p.bits ? __builtin_popcount(p.bits[i]) : p.spikes[i] != 0.0f;
    seen += (end - begin) * (p.bits ? 8 : 1);
  }
  return seen ? static_cast<double>(active) / static_cast<double>(seen) : 0.0;
}

// Chooses what costs least; the size of tables with it.
Method chosen_method(PreparedConvolution* prepared) {
  const SpikeConvolution& c = prepared->convolution;
  if (!c.kernel) return Method::kCopy;
  if (c.groups > 1 && prepared->group_inputs == 1 && prepared->group_outputs == 1) return Method::kDepthwise;
  if (prepared->stride > kMostTabled || prepared->group_inputs == 1) return Method::kGather;
  const double vectors = static_cast<double>(prepared->stride) / kChannelsAtOnce;
  const int64_t fan_in = c.taps() * prepared->group_inputs;
  const double row = 4 * fan_in * prepared->stride <= kNear ? kNearRow : kFarRow;
  const double rows = rate_of(c) * static_cast<double>(fan_in);
  double least = kList + kListOfWindowRow * static_cast<double>(c.rows.window) + row * vectors * rows;
  Method method = Method::kGather;
  for (const int64_t inputs : {4, 8}) {
    const int64_t tables = (prepared->group_inputs + inputs - 1) / inputs;
    const int64_t bytes = c.groups * c.taps() * tables * (int64_t{4} << inputs) * prepared->stride;
    const bool worth_it = inputs == 4 || c.samples * c.rows.output * c.columns.output >= kWorthLargeTables;
    const double sum = inputs == 4 ? kSmallTableSum : kLargeTableSum;
    const double cost = sum * vectors * static_cast<double>(c.taps() * tables);
    if (!worth_it || bytes > kLargestTables || cost >= least) continue;
    least = cost;
    method = Method::kTable;
    prepared->table_inputs = inputs;
  }
  return method;
}

// Fills a table with all sums of so many rows, `rows` of which there are: the others add nothing.
void fill_table(const float* from, int64_t rows, int64_t pitch, int64_t outputs, int64_t entries, int64_t stride, float* to) {
  // Each sum is that of one input less, and this input.
  for (int64_t entry = 1; entry < entries; ++entry) {
    const int64_t input = __builtin_ctzll(static_cast<unsigned long long>(entry));
    const float* less = to + (entry & (entry - 1)) * stride;
    float* sum = to + entry * stride;
    if (input < rows) {
      for (int64_t output = 0; output < outputs; ++output) sum[output] = less[output] + from[input * pitch + output];
    } else {
      std::copy_n(less, stride, sum);
    }
  }
}

}  // namespace

PreparedConvolution::PreparedConvolution(const SpikeConvolution& given) : convolution(given) {
  const SpikeConvolution& c = convolution;
  group_inputs = c.inputs / c.groups;
  group_outputs = c.outputs / c.groups;
  stride = rounded_up(group_outputs, kChannelsAtOnce);
  method = chosen_method(this);
  tables = (group_inputs + table_inputs - 1) / table_inputs;
  if (method == Method::kCopy) return;
  if (method == Method::kDepthwise) {
    // All channels side by side are one row.
    group_outputs = c.outputs;
    stride = rounded_up(c.outputs, kChannelsAtOnce);
  }
  const int64_t groups = c.outputs / group_outputs;
  if (c.bias) {
    rows_of_bias.resize(static_cast<size_t>(groups * stride));
    for (int64_t group = 0; group < groups; ++group) {
      std::copy_n(c.bias + group * group_outputs, group_outputs, rows_of_bias.data() + group * stride);
    }
  }
  rows_of_kernel.resize(static_cast<size_t>(groups * c.taps() * rows_of_tap() * stride));
  float* to = rows_of_kernel.data();
  for (int64_t group = 0; group < groups; ++group) {
    const float* from = c.kernel + group * group_outputs;
    for (int64_t tap = 0; tap < c.taps(); ++tap, from += group_inputs * c.outputs) {
      if (method == Method::kTable) {
        for (int64_t first = 0; first < group_inputs; first += table_inputs, to += entries() * stride) {
          const float* rows = from + first * c.outputs;
          fill_table(rows, group_inputs - first, c.outputs, group_outputs, entries(), stride, to);
        }
      } else {
        for (int64_t input = 0; input < group_inputs; ++input, to += stride) {
          std::copy_n(from + input * c.outputs, group_outputs, to);
        }
      }
    }
  }
}

void run(const PreparedConvolution& prepared, SpikeConvolutionKernel kernel, float* current) {
  const SpikeConvolution& convolution = prepared.convolution;
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
