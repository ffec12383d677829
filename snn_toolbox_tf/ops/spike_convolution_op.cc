// `SnnToolbox>SpikeConvolution`: a convolution of spikes. See core/spike_convolution.h for what it does.

#include "core/spike_convolution.h"
#include "core/windows.h"
#include "native_control.h"
#include "tensorflow_glue.h"

namespace snn_toolbox {
namespace {

constexpr char kName[] = "SnnToolbox>SpikeConvolution";
enum InputIndex { kSpikes, kKernel, kBias };

struct Attributes {
  int64_t row_stride = 1, column_stride = 1, row_dilation = 1, column_dilation = 1;
  bool same_padding = false;
};

void* create(TF_OpKernelConstruction* construction) {
  auto* attributes = new Attributes;
  get_window_attributes(construction,
                        {{"row_stride", &attributes->row_stride},
                         {"column_stride", &attributes->column_stride},
                         {"row_dilation", &attributes->row_dilation},
                         {"column_dilation", &attributes->column_dilation}},
                        &attributes->same_padding);
  return attributes;
}

void destroy(void* attributes) { delete static_cast<Attributes*>(attributes); }

ConvolutionAxis convolution_axis(int64_t input, int64_t window, int64_t stride, int64_t dilation, bool same) {
  const Windows windows = lay_windows(input, (window - 1) * dilation + 1, stride, same);
  return {input, window, stride, dilation, windows.padding, windows.output};
}

bool compute_checked(const Attributes& attributes, TF_OpKernelContext* context, Status* status) {
  Input spikes, kernel, bias;
  if (!get_input(context, kSpikes, "spikes", &spikes, status)) return false;
  if (!get_input(context, kKernel, "kernel", &kernel, status)) return false;
  if (!get_input(context, kBias, "bias", &bias, status)) return false;
  const bool fits = spikes.shape.rank == 4 && kernel.shape.rank == 4 && spikes.shape.dims[3] == kernel.shape.dims[2];
  const bool biased = bias.shape.size() > 0;
  if (!fits || bias.shape.rank != 1 || (biased && bias.shape.dims[0] != kernel.shape.dims[3])) {
    return status->fail("Expected `spikes` [batch, rows, columns, inputs], `kernel` [rows, columns, inputs, outputs], and "
                        "`bias` [outputs] or [0]. Received: shapes " + spikes.shape.text() + ", " +
                        kernel.shape.text() + " and " + bias.shape.text());
  }
  SpikeConvolution convolution;
  convolution.samples = spikes.shape.dims[0];
  convolution.inputs = kernel.shape.dims[2];
  convolution.outputs = kernel.shape.dims[3];
  const bool same = attributes.same_padding;
  convolution.rows = convolution_axis(spikes.shape.dims[1], kernel.shape.dims[0], attributes.row_stride,
                                      attributes.row_dilation, same);
  convolution.columns = convolution_axis(spikes.shape.dims[2], kernel.shape.dims[1], attributes.column_stride,
                                         attributes.column_dilation, same);
  // Places in a row of the input, and rows of the kernel, are 32-bit numbers.
  if (convolution.columns.input * convolution.inputs >= INT32_MAX || convolution.fan_in() >= INT32_MAX) {
    return status->fail("Expected a row of `spikes`, and a window of `kernel`, of less than 2^31 elements. Received: shapes " +
                        spikes.shape.text() + " and " + kernel.shape.text());
  }
  Shape shape = spikes.shape;
  shape.dims[1] = convolution.rows.output;
  shape.dims[2] = convolution.columns.output;
  shape.dims[3] = convolution.outputs;
  convolution.spikes = static_cast<const float*>(spikes.data);
  convolution.kernel = static_cast<const float*>(kernel.data);
  convolution.bias = biased ? static_cast<const float*>(bias.data) : nullptr;
  convolution.current = static_cast<float*>(allocate_output(context, 0, TF_FLOAT, shape, status));
  if (!status->ok()) return false;
  if (shape.size() > 0) run(convolution, selected_variant().spike_convolution);
  return true;
}

void compute(void* attributes, TF_OpKernelContext* context) {
  Status status;
  if (!compute_checked(*static_cast<Attributes*>(attributes), context, &status)) {
    TF_OpKernelContext_Failure(context, status.get());
  }
}

// The windows are not at hand here: the Python front sets the shape.
void infer_shapes(TF_ShapeInferenceContext* context, TF_Status* status) {
  TF_ShapeInferenceContextSetUnknownShape(context, status);
}

bool register_op() {
  Status status;
  TF_OpDefinitionBuilder* op = TF_NewOpDefinitionBuilder(kName);
  TF_OpDefinitionBuilderAddInput(op, "spikes: float");
  TF_OpDefinitionBuilderAddInput(op, "kernel: float");
  TF_OpDefinitionBuilderAddInput(op, "bias: float");
  TF_OpDefinitionBuilderAddOutput(op, "current: float");
  add_window_attributes(op, {"row_stride", "column_stride", "row_dilation", "column_dilation"});
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
