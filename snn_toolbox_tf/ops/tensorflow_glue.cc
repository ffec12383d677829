#include "tensorflow_glue.h"

#include <cstring>

namespace snn_toolbox {

int64_t Shape::size(int from) const {
  int64_t product = 1;
  for (int i = from; i < rank; ++i) product *= dims[i];
  return product;
}

void Shape::prepend(int64_t dim) {
  for (int i = rank; i > 0; --i) dims[i] = dims[i - 1];
  dims[0] = dim;
  ++rank;
}

bool Shape::operator==(const Shape& other) const {
  if (rank != other.rank) return false;
  for (int i = 0; i < rank; ++i) {
    if (dims[i] != other.dims[i]) return false;
  }
  return true;
}

std::string Shape::text() const {
  std::string text = "[";
  for (int i = 0; i < rank; ++i) text += (i ? "," : "") + std::to_string(dims[i]);
  return text + "]";
}

bool get_input(TF_OpKernelContext* context, int index, const char* name, Input* input, Status* status) {
  TF_Tensor* tensor = nullptr;
  TF_GetInput(context, index, &tensor, status->get());
  if (!status->ok()) return false;
  const int rank = TF_NumDims(tensor);
  // One more than the input's rank must fit: outputs have a time axis.
  const bool fits = rank < Shape::kMaximalRank;
  if (fits) {
    input->shape.rank = rank;
    for (int i = 0; i < rank; ++i) input->shape.dims[i] = TF_Dim(tensor, i);
    input->data = TF_TensorData(tensor);
  }
  TF_DeleteTensor(tensor);
  if (fits) return true;
  return status->fail("Expected `" + std::string(name) + "` to have fewer than " +
                      std::to_string(Shape::kMaximalRank) + " dimensions. Received: rank " + std::to_string(rank));
}

void* get_output(TF_OpKernelContext* context, int index, const Shape& shape, const int* candidates,
                 int number_of_candidates, Status* status) {
  int from = -1;
  TF_Tensor* tensor = TF_ForwardInputOrAllocateOutput(context, candidates, number_of_candidates, index, shape.dims,
                                                      shape.rank, &from, status->get());
  if (!status->ok()) return nullptr;
  void* data = TF_TensorData(tensor);
  TF_DeleteTensor(tensor);
  return data;
}

void* allocate_output(TF_OpKernelContext* context, int index, TF_DataType type, const Shape& shape, Status* status) {
  const size_t element = type == TF_UINT8 ? 1 : type == TF_DOUBLE ? 8 : 4;
  TF_Tensor* tensor = TF_AllocateOutput(context, index, type, shape.dims, shape.rank,
                                        static_cast<size_t>(shape.size()) * element, status->get());
  if (!status->ok()) return nullptr;
  void* data = TF_TensorData(tensor);
  TF_DeleteTensor(tensor);
  return data;
}

void add_window_attributes(TF_OpDefinitionBuilder* op, std::initializer_list<const char*> integers) {
  for (const char* name : integers) TF_OpDefinitionBuilderAddAttr(op, (std::string(name) + ": int >= 1").c_str());
  TF_OpDefinitionBuilderAddAttr(op, "padding: {'valid', 'same'}");
}

void get_window_attributes(TF_OpKernelConstruction* construction, std::initializer_list<IntegerAttribute> integers,
                           bool* same_padding) {
  Status status;
  char padding[16] = {};
  for (const IntegerAttribute& integer : integers) {
    if (status.ok()) TF_OpKernelConstruction_GetAttrInt64(construction, integer.name, integer.value, status.get());
  }
  if (status.ok()) {
    TF_OpKernelConstruction_GetAttrString(construction, "padding", padding, sizeof(padding) - 1, status.get());
  }
  *same_padding = std::strcmp(padding, "same") == 0;
  if (!status.ok()) TF_OpKernelConstruction_Failure(construction, status.get());
}

int64_t known_dim(TF_ShapeInferenceContext* context, TF_ShapeHandle* shape, int64_t index) {
  TF_DimensionHandle* dim = TF_NewDimensionHandle();
  TF_ShapeInferenceContextDim(context, shape, index, dim);
  const int64_t value = TF_DimensionHandleValueKnown(dim) ? TF_DimensionHandleValue(dim) : -1;
  TF_DeleteDimensionHandle(dim);
  return value;
}

int64_t known_rank(TF_ShapeInferenceContext* context, TF_ShapeHandle* shape) {
  return TF_ShapeInferenceContextRankKnown(context, shape) ? TF_ShapeInferenceContextRank(context, shape) : -1;
}

}  // namespace snn_toolbox
