// `SnnToolbox>AccumulateMaxPool`: max pooling of accumulated currents. See core/accumulate_max_pool.h for what it does.

#include <cstring>

#include "core/accumulate_max_pool.h"
#include "native_control.h"
#include "tensorflow_glue.h"

namespace snn_toolbox {
namespace {

constexpr char kName[] = "SnnToolbox>AccumulateMaxPool";
enum InputIndex { kCurrent, kAccumulated };
enum OutputIndex { kPooled, kFinalAccumulated };

struct Attributes {
  int64_t pool_rows = 1, pool_columns = 1, row_stride = 1, column_stride = 1;
  bool same_padding = false;
};

void* create(TF_OpKernelConstruction* construction) {
  Status status;
  auto* attributes = new Attributes;
  char padding[16] = {};
  const struct {
    const char* name;
    int64_t* value;
  } integers[] = {{"pool_rows", &attributes->pool_rows},
                  {"pool_columns", &attributes->pool_columns},
                  {"row_stride", &attributes->row_stride},
                  {"column_stride", &attributes->column_stride}};
  for (const auto& integer : integers) {
    if (status.ok()) TF_OpKernelConstruction_GetAttrInt64(construction, integer.name, integer.value, status.get());
  }
  if (status.ok()) {
    TF_OpKernelConstruction_GetAttrString(construction, "padding", padding, sizeof(padding) - 1, status.get());
  }
  attributes->same_padding = std::strcmp(padding, "same") == 0;
  if (!status.ok()) TF_OpKernelConstruction_Failure(construction, status.get());
  return attributes;
}

void destroy(void* attributes) { delete static_cast<Attributes*>(attributes); }

// The windows along one axis as TensorFlow lays them.
WindowAxis window_axis(int64_t input, int64_t pool, int64_t stride, bool same) {
  WindowAxis axis;
  axis.input = input;
  axis.pool = pool;
  axis.stride = stride;
  if (same) {
    axis.output = (input + stride - 1) / stride;
    const int64_t missing = (axis.output - 1) * stride + pool - input;
    axis.padding = missing > 0 ? missing / 2 : 0;
  } else {
    axis.output = input < pool ? 0 : (input - pool) / stride + 1;
  }
  return axis;
}

bool compute_checked(const Attributes& attributes, TF_OpKernelContext* context, Status* status) {
  Input current, accumulated;
  if (!get_input(context, kCurrent, "current", &current, status)) return false;
  if (!get_input(context, kAccumulated, "accumulated", &accumulated, status)) return false;
  const Shape& sums = accumulated.shape;
  Shape block = sums;
  block.prepend(current.shape.rank > 0 ? current.shape.dims[0] : 0);
  if (sums.rank != 4 || !(current.shape == block)) {
    return status->fail("Expected `accumulated` [batch, rows, columns, channels] and `current` [timesteps, batch, rows, "
                        "columns, channels]. Received: shapes " + sums.text() + " and " + current.shape.text());
  }
  AccumulateMaxPool pool;
  pool.timesteps = block.dims[0];
  pool.samples = sums.dims[0];
  pool.channels = sums.dims[3];
  pool.rows = window_axis(sums.dims[1], attributes.pool_rows, attributes.row_stride, attributes.same_padding);
  pool.columns = window_axis(sums.dims[2], attributes.pool_columns, attributes.column_stride, attributes.same_padding);
  Shape pooled = block;
  pooled.dims[2] = pool.rows.output;
  pooled.dims[3] = pool.columns.output;
  pool.current = static_cast<const float*>(current.data);
  pool.accumulated = static_cast<const double*>(accumulated.data);
  pool.pooled = static_cast<float*>(allocate_output(context, kPooled, TF_FLOAT, pooled, status));
  if (!status->ok()) return false;
  const int candidate = kAccumulated;
  pool.final_accumulated =
      static_cast<double*>(get_output(context, kFinalAccumulated, sums, &candidate, 1, status));
  if (!status->ok()) return false;
  if (pooled.size() == 0 && sums.size() > 0) {
    return status->fail("The windows are larger than the rows or columns of `accumulated`. Received: shape " + sums.text());
  }
  if (sums.size() > 0) run(pool, selected_variant().accumulate_max_pool);
  return true;
}

void compute(void* attributes, TF_OpKernelContext* context) {
  Status status;
  if (!compute_checked(*static_cast<Attributes*>(attributes), context, &status)) {
    TF_OpKernelContext_Failure(context, status.get());
  }
}

// The windows are not at hand here: the Python front sets the shape of what is pooled.
void infer_shapes(TF_ShapeInferenceContext* context, TF_Status* status) {
  ShapeHandle accumulated;
  TF_ShapeInferenceContextSetUnknownShape(context, status);
  TF_ShapeInferenceContextGetInput(context, kAccumulated, accumulated.get(), status);
  if (TF_GetCode(status) == TF_OK) {
    TF_ShapeInferenceContextSetOutput(context, kFinalAccumulated, accumulated.get(), status);
  }
}

bool register_op() {
  Status status;
  TF_OpDefinitionBuilder* op = TF_NewOpDefinitionBuilder(kName);
  TF_OpDefinitionBuilderAddInput(op, "current: float");
  TF_OpDefinitionBuilderAddInput(op, "accumulated: double");
  TF_OpDefinitionBuilderAddOutput(op, "pooled: float");
  TF_OpDefinitionBuilderAddOutput(op, "final_accumulated: double");
  for (const char* name : {"pool_rows", "pool_columns", "row_stride", "column_stride"}) {
    TF_OpDefinitionBuilderAddAttr(op, (std::string(name) + ": int >= 1").c_str());
  }
  TF_OpDefinitionBuilderAddAttr(op, "padding: {'valid', 'same'}");
  TF_OpDefinitionBuilderSetShapeInferenceFunction(op, infer_shapes);
  TF_RegisterOpDefinition(op, status.get());
  if (!status.ok()) return false;
  TF_RegisterKernelBuilder("SnnToolboxAccumulateMaxPool", TF_NewKernelBuilder(kName, "CPU", create, compute, destroy),
                           status.get());
  return status.ok();
}

[[maybe_unused]] const bool registered = register_op();

}  // namespace
}  // namespace snn_toolbox
