// A synapse that reads spikes, as ops receive it.

#ifndef SNN_TOOLBOX_TF_OPS_SPIKE_SYNAPSE_H_
#define SNN_TOOLBOX_TF_OPS_SPIKE_SYNAPSE_H_

#include "core/spike_convolution.h"
#include "tensorflow_glue.h"

namespace snn_toolbox {

// What an attribute says of a convolution: 11 integers. Rows: input, stride, dilation, padding in front, output; columns
// likewise; groups.
constexpr int kGeometrySize = 11;

// The tensors of a synapse.
struct SynapseInputs {
  Input spikes, kernel, bias, moved;
  bool bits = false;  // whether spikes are uint8
};

// Where they are among an op's inputs. A kernel [0] stands for none: spikes pass as they are.
struct SynapseIndices {
  int spikes, kernel, bias, moved;
};

bool get_synapse(TF_OpKernelContext* context, const SynapseIndices& indices, SynapseInputs* inputs, Status* status);

// Checks the tensors against a geometry, and describes the convolution.
bool describe_synapse(const SynapseInputs& inputs, const int64_t* geometry, SpikeConvolution* convolution, Status* status);

}  // namespace snn_toolbox

#endif  // SNN_TOOLBOX_TF_OPS_SPIKE_SYNAPSE_H_
