// `SnnToolbox>AccumulateMaxPool`: max pooling of accumulated currents. See core/accumulate_max_pool.h for what it does.

#include "core/accumulate_max_pool.h"
#include "core/windows.h"
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
  auto* attributes = new Attributes;
  get_window_attributes(construction,
                        {{"pool_rows", &attributes->pool_rows},
                         {"pool_columns", &attributes->pool_columns},
                         {"row_stride", &attributes->row_stride},
                         {"column_stride", &attributes->column_stride}},
                        &attributes->same_padding);
  return attributes;
}

void destroy(void* attributes) { delete static_cast<Attributes*>(attributes); }

WindowAxis window_axis(int64_t input, int64_t pool, int64_t stride, bool same) {
  const Windows windows = lay_windows(input, pool, stride, same);
  return {input, pool, stride, windows.padding, windows.output};
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
  add_window_attributes(op, {"pool_rows", "pool_columns", "row_stride", "column_stride"});
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
