// A convolution of spikes, without TensorFlow types: work is done only where there are spikes.
//
// For each output, the rows of the kernel that belong to active inputs are added up; nothing is multiplied. On a dyadic grid
// sums are exact, so that all kernels, and a dense convolution, give the same bits: variant_reference.cc has the plain version.
// A dense layer is a convolution of one position.

#ifndef SNN_TOOLBOX_TF_OPS_CORE_SPIKE_CONVOLUTION_H_
#define SNN_TOOLBOX_TF_OPS_CORE_SPIKE_CONVOLUTION_H_

#include <cstdint>
#include <new>
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

// How the outputs of a convolution are found. The plain reference heeds kCopy only.
enum class Method {
  kCopy,       // there is no kernel: outputs are the spikes themselves
  kGather,     // each output adds up the rows of its active inputs
  kTable,      // each output adds up what its inputs, a few at a time, have in a table of all their sums
  kDepthwise,  // each channel is convolved for itself
};

// Arrays are channels last.
struct SpikeConvolution {
  int64_t samples = 0;
  int64_t inputs = 1, outputs = 1;  // channels
  int64_t groups = 1;               // which the channels are divided into, one convolution each
  ConvolutionAxis rows, columns;

  // One of them is given. Spike j of a sample is bit j % 8 of its byte j / 8.
  const float* spikes = nullptr;  // [samples, source_size], each 0 or 1
  const uint8_t* bits = nullptr;  // [samples, bytes_per_sample()]
  int64_t source_size = 0;
  // [rows, columns, inputs]: which spike of the source each input is, or -1 if it is always silent. None: inputs are the source.
  const int32_t* moved = nullptr;

  const float* kernel = nullptr;  // [window rows, window columns, inputs / groups, outputs]
  const float* bias = nullptr;    // [outputs], or none

  SNN_TOOLBOX_INLINE int64_t sample_size() const { return rows.input * columns.input * inputs; }
  SNN_TOOLBOX_INLINE int64_t bytes_per_sample() const { return (source_size + 7) / 8; }
  SNN_TOOLBOX_INLINE int64_t row_size() const { return columns.output * outputs; }
  SNN_TOOLBOX_INLINE int64_t taps() const { return rows.window * columns.window; }
};

// Channels that kernels read at once at most; rows of a kernel are padded to a multiple of it.
constexpr int64_t kChannelsAtOnce = 16;

// Numbers that begin on a cache line: a vector that lies across two takes twice as long to load.
template <typename Element>
struct CacheLineAllocator {
  using value_type = Element;
  static constexpr std::align_val_t kLine{64};
  CacheLineAllocator() = default;
  template <typename Other>
  CacheLineAllocator(const CacheLineAllocator<Other>&) {}
  Element* allocate(std::size_t count) { return static_cast<Element*>(::operator new(count * sizeof(Element), kLine)); }
  void deallocate(Element* elements, std::size_t) { ::operator delete(elements, kLine); }
  bool operator==(const CacheLineAllocator&) const { return true; }
  bool operator!=(const CacheLineAllocator&) const { return false; }
};
using AlignedFloats = std::vector<float, CacheLineAllocator<float>>;

// A convolution with its kernel laid out for a method.
struct PreparedConvolution {
  SpikeConvolution convolution;
  Method method = Method::kGather;
  int64_t group_inputs = 1, group_outputs = 1;
  int64_t stride = 1;               // of a row of outputs: `group_outputs`, rounded up to whole vectors
  int64_t table_inputs = 4;         // whose sums a table has: 4 or 8
  int64_t tables = 0;               // of a tap
  AlignedFloats rows_of_kernel;     // [groups, taps, group inputs, stride], or [groups, taps, tables, entries, stride]
  AlignedFloats rows_of_bias;       // [groups, stride], or empty

  explicit PreparedConvolution(const SpikeConvolution& convolution);

  SNN_TOOLBOX_INLINE int64_t entries() const { return int64_t{1} << table_inputs; }
  // Rows of `stride` numbers that a tap takes.
  SNN_TOOLBOX_INLINE int64_t rows_of_tap() const { return method == Method::kTable ? tables * entries() : group_inputs; }
  SNN_TOOLBOX_INLINE const float* kernel(int64_t group) const {
    return rows_of_kernel.data() + group * convolution.taps() * rows_of_tap() * stride;
  }
  SNN_TOOLBOX_INLINE const float* bias(int64_t group) const {
    return rows_of_bias.empty() ? nullptr : rows_of_bias.data() + group * stride;
  }
};

// What a thread keeps between calls.
struct SpikeScratch {
  std::vector<uint8_t> source;     // bits of a sample whose spikes are moved
  std::vector<uint8_t> bits;       // of the rows that a band reads
  std::vector<int32_t> positions;  // of spikes in their row of the input, row by row
  std::vector<int32_t> starts;     // where those of a pixel begin; one more per row
  std::vector<int32_t> active;     // rows of the kernel that an output adds up
  std::vector<uint16_t> offsets;   // into tables, with a margin on both sides of a row
  AlignedFloats values;            // spikes as numbers, with such a margin
};

// Fills the outputs [begin, end) of one sample, counted row by row: whole rows, but for Method::kCopy.
using SpikeConvolutionKernel = void (*)(const PreparedConvolution& prepared, int64_t sample, int64_t begin, int64_t end,
                                        float* current, SpikeScratch* scratch);

// Computes the currents of all samples, [samples, output rows, output columns, outputs], spread over threads.
void run(const PreparedConvolution& prepared, SpikeConvolutionKernel kernel, float* current);

}  // namespace snn_toolbox

#endif  // SNN_TOOLBOX_TF_OPS_CORE_SPIKE_CONVOLUTION_H_
