#include "spike_synapse.h"

#include <string>

namespace snn_toolbox {
namespace {

ConvolutionAxis axis_of(const int64_t* geometry, int64_t window) {
  return {geometry[0], window, geometry[1], geometry[2], geometry[3], geometry[4]};
}

bool axis_fits(const ConvolutionAxis& axis) {
  return axis.input >= 0 && axis.window >= 1 && axis.stride >= 1 && axis.dilation >= 1 && axis.padding >= 0 &&
         axis.output >= 0;
}

std::string shapes_text(const SynapseInputs& inputs) {
  return inputs.spikes.shape.text() + ", " + inputs.kernel.shape.text() + " and " + inputs.bias.shape.text();
}

// Whether spikes have as many elements a sample as are read.
bool spikes_fit(const SynapseInputs& inputs, const SpikeConvolution& p) {
  const Shape& shape = inputs.spikes.shape;
  const bool counted = p.moved || p.source_size == p.sample_size();
  return counted && (inputs.bits ? shape.rank == 2 && shape.dims[1] == p.bytes_per_sample() : shape.rank >= 1);
}

// Reads where inputs come from: there must be a place for each, and all of them inside the source.
bool read_places(const Input& moved, SpikeConvolution* p) {
  const auto* places = static_cast<const int32_t*>(moved.data);
  if (moved.shape.rank != 1 || moved.shape.dims[0] != p->sample_size()) return false;
  for (int64_t i = 0; i < moved.shape.dims[0]; ++i) {
    if (places[i] < -1 || places[i] >= p->source_size) return false;
  }
  p->moved = places;
  return true;
}

}  // namespace

bool get_synapse(TF_OpKernelContext* context, const SynapseIndices& indices, SynapseInputs* inputs, Status* status) {
  return get_input(context, indices.spikes, "spikes", &inputs->spikes, status) &&
         get_input(context, indices.kernel, "kernel", &inputs->kernel, status) &&
         get_input(context, indices.bias, "bias", &inputs->bias, status) &&
         get_input(context, indices.moved, "moved", &inputs->moved, status);
}

bool describe_synapse(const SynapseInputs& inputs, const int64_t* geometry, SpikeConvolution* convolution, Status* status) {
  SpikeConvolution& p = *convolution;
  const Shape &kernel = inputs.kernel.shape, &bias = inputs.bias.shape;
  const bool copies = absent(inputs.kernel);
  p.samples = inputs.spikes.shape.rank ? inputs.spikes.shape.dims[0] : 0;
  p.groups = geometry[kGeometrySize - 1];
  p.rows = axis_of(geometry, copies || kernel.rank != 4 ? 1 : kernel.dims[0]);
  p.columns = axis_of(geometry + 5, copies || kernel.rank != 4 ? 1 : kernel.dims[1]);
  if (!axis_fits(p.rows) || !axis_fits(p.columns) || p.groups < 1) {
    std::string numbers;
    for (int i = 0; i < kGeometrySize; ++i) numbers += (i ? ", " : "") + std::to_string(geometry[i]);
    return status->fail("Expected `geometry` of strides, dilations and groups of at least 1 and of no negative size or "
                        "padding, and a window that is not empty. Received: geometry " + numbers + ", kernel " + kernel.text());
  }
  if (copies) {
    p.inputs = p.outputs = p.rows.input * p.columns.input;
    p.rows = p.columns = ConvolutionAxis();
  } else {
    p.inputs = kernel.rank == 4 ? kernel.dims[2] * p.groups : 0;
    p.outputs = kernel.rank == 4 ? kernel.dims[3] : 0;
  }
  const Shape& spikes = inputs.spikes.shape;
  // The last byte of bits may have room for more.
  const int64_t room = spikes.rank == 0 ? 0 : inputs.bits && spikes.rank == 2 ? 8 * spikes.dims[1] : spikes.size(1);
  p.source_size = inputs.bits && absent(inputs.moved) ? p.sample_size() : room;
  if (!absent(inputs.moved) && !read_places(inputs.moved, convolution)) {
    return status->fail("Expected `moved` [" + std::to_string(p.sample_size()) + "] of places among " +
                        std::to_string(room) + " spikes, or -1. Received: shape " + inputs.moved.shape.text() +
                        (inputs.moved.shape.size() == p.sample_size() ? ", with places elsewhere" : ""));
  }
  const bool biased = !absent(inputs.bias);
  const bool fits = copies ? !biased : kernel.rank == 4 && p.outputs > 0 && p.outputs % p.groups == 0 && bias.rank == 1 &&
                                           (!biased || bias.dims[0] == p.outputs);
  if (!fits || !spikes_fit(inputs, p)) {
    return status->fail("Expected `spikes` [batch, " + std::to_string(p.rows.input) + ", " +
                        std::to_string(p.columns.input) + ", inputs] or their bits [batch, bytes], `kernel` [rows, columns, "
                        "inputs / groups, outputs], and `bias` [outputs] or [0]. Received: shapes " +
                        shapes_text(inputs) + ", groups " + std::to_string(p.groups));
  }
  // Places in a row of the input, and rows of the kernel, are 32-bit numbers.
  if (p.columns.input * p.inputs >= INT32_MAX || p.taps() * p.inputs >= INT32_MAX) {
    return status->fail("Expected a row of `spikes`, and a window of `kernel`, of less than 2^31 elements. Received: shapes " +
                        shapes_text(inputs));
  }
  if (inputs.bits) {
    p.bits = static_cast<const uint8_t*>(inputs.spikes.data);
  } else {
    p.spikes = static_cast<const float*>(inputs.spikes.data);
  }
  p.kernel = copies ? nullptr : static_cast<const float*>(inputs.kernel.data);
  p.bias = biased ? static_cast<const float*>(inputs.bias.data) : nullptr;
  return true;
}

}  // namespace snn_toolbox
