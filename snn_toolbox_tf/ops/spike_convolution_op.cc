// `SnnToolbox>SpikeConvolution`: a convolution of spikes. See core/spike_convolution.h for what it does.

#include "core/spike_convolution.h"
#include "native_control.h"
#include "spike_synapse.h"
#include "tensorflow_glue.h"

namespace snn_toolbox {
namespace {

constexpr char kName[] = "SnnToolbox>SpikeConvolution";
constexpr SynapseIndices kIndices = {0, 1, 2, 3};

struct Attributes {
  int64_t geometry[kGeometrySize] = {};
  TF_DataType spike_type = TF_FLOAT;
};

void* create(TF_OpKernelConstruction* construction) {
  Status status;
  auto* attributes = new Attributes;
  TF_OpKernelConstruction_GetAttrInt64List(construction, "geometry", attributes->geometry, kGeometrySize, status.get());
  if (status.ok()) {
    TF_OpKernelConstruction_GetAttrType(construction, "spike_type", &attributes->spike_type, status.get());
  }
  if (!status.ok()) TF_OpKernelConstruction_Failure(construction, status.get());
  return attributes;
}

void destroy(void* attributes) { delete static_cast<Attributes*>(attributes); }

bool compute_checked(const Attributes& attributes, TF_OpKernelContext* context, Status* status) {
  SynapseInputs inputs;
  SpikeConvolution convolution;
  inputs.bits = attributes.spike_type == TF_UINT8;
  if (!get_synapse(context, kIndices, &inputs, status)) return false;
  if (!describe_synapse(inputs, attributes.geometry, &convolution, status)) return false;
  Shape shape;
  shape.rank = 4;
  shape.dims[0] = convolution.samples;
  shape.dims[1] = convolution.rows.output;
  shape.dims[2] = convolution.columns.output;
  shape.dims[3] = convolution.outputs;
  auto* current = static_cast<float*>(allocate_output(context, 0, TF_FLOAT, shape, status));
  if (!status->ok()) return false;
  if (shape.size() > 0) run(PreparedConvolution(convolution), selected_variant().spike_convolution, current);
  return true;
}

void compute(void* attributes, TF_OpKernelContext* context) {
  Status status;
  if (!compute_checked(*static_cast<Attributes*>(attributes), context, &status)) {
    TF_OpKernelContext_Failure(context, status.get());
  }
}

// The geometry is not at hand here: the Python front sets the shape.
void infer_shapes(TF_ShapeInferenceContext* context, TF_Status* status) {
  TF_ShapeInferenceContextSetUnknownShape(context, status);
}

bool register_op() {
  Status status;
  TF_OpDefinitionBuilder* op = TF_NewOpDefinitionBuilder(kName);
  TF_OpDefinitionBuilderAddInput(op, "spikes: spike_type");
  TF_OpDefinitionBuilderAddInput(op, "kernel: float");
  TF_OpDefinitionBuilderAddInput(op, "bias: float");
  TF_OpDefinitionBuilderAddInput(op, "moved: int32");
  TF_OpDefinitionBuilderAddOutput(op, "current: float");
  TF_OpDefinitionBuilderAddAttr(op, "spike_type: {float, uint8}");
  TF_OpDefinitionBuilderAddAttr(op, "geometry: list(int)");
  TF_OpDefinitionBuilderSetShapeInferenceFunction(op, infer_shapes);
  TF_RegisterOpDefinition(op, status.get());
  if (!status.ok()) return false;
  TF_RegisterKernelBuilder("SnnToolboxSpikeConvolution", TF_NewKernelBuilder(kName, "CPU", create, compute, destroy),
                           status.get());
  return status.ok();
}

[[maybe_unused]] const bool registered = register_op();

}  // namespace
}  // namespace snn_toolbox
