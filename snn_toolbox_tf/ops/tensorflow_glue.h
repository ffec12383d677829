// Small helpers between TensorFlow's C API and the kernels in core/.

#ifndef SNN_TOOLBOX_TF_OPS_TENSORFLOW_GLUE_H_
#define SNN_TOOLBOX_TF_OPS_TENSORFLOW_GLUE_H_

#include <initializer_list>
#include <string>

#include "tensorflow_c_api.h"

namespace snn_toolbox {

class Status {
 public:
  Status() : status_(TF_NewStatus()) {}
  ~Status() { TF_DeleteStatus(status_); }
  Status(const Status&) = delete;
  Status& operator=(const Status&) = delete;
  TF_Status* get() { return status_; }
  bool ok() const { return TF_GetCode(status_) == TF_OK; }
  // Sets an InvalidArgumentError; always false.
  bool fail(const std::string& message) {
    TF_SetStatus(status_, TF_INVALID_ARGUMENT, message.c_str());
    return false;
  }

 private:
  TF_Status* status_;
};

struct Shape {
  static constexpr int kMaximalRank = 16;
  int rank = 0;
  int64_t dims[kMaximalRank] = {};

  int64_t size(int from = 0) const;
  void prepend(int64_t dim);
  bool operator==(const Shape& other) const;
  std::string text() const;
};

// An input's data stay valid as long as the kernel runs, although nothing here refers to it any more: a reference of ours
// would keep TensorFlow from passing its buffer on as an output.
struct Input {
  Shape shape;
  const void* data = nullptr;
};

// Whether an input is [0], which stands for one that is not given.
inline bool absent(const Input& input) { return input.shape.rank == 1 && input.shape.dims[0] == 0; }

bool get_input(TF_OpKernelContext* context, int index, const char* name, Input* input, Status* status);

// Returns the buffer of an output: that of the first of the candidate inputs whose buffer TensorFlow lets us have,
// or a new one.
void* get_output(TF_OpKernelContext* context, int index, const Shape& shape, const int* candidates,
                 int number_of_candidates, Status* status);
void* allocate_output(TF_OpKernelContext* context, int index, TF_DataType type, const Shape& shape, Status* status);

// An integer attribute, at least 1, and where its value goes.
struct IntegerAttribute {
  const char* name;
  int64_t* value;
};

// Attributes of ops that work on windows: integers, and `padding`, which is "valid" or "same".
void add_window_attributes(TF_OpDefinitionBuilder* op, std::initializer_list<const char*> integers);
void get_window_attributes(TF_OpKernelConstruction* construction, std::initializer_list<IntegerAttribute> integers,
                           bool* same_padding);

class ShapeHandle {
 public:
  ShapeHandle() : handle_(TF_NewShapeHandle()) {}
  explicit ShapeHandle(TF_ShapeHandle* handle) : handle_(handle) {}
  ~ShapeHandle() { TF_DeleteShapeHandle(handle_); }
  ShapeHandle(const ShapeHandle&) = delete;
  ShapeHandle& operator=(const ShapeHandle&) = delete;
  TF_ShapeHandle* get() { return handle_; }

 private:
  TF_ShapeHandle* handle_;
};

// The value of a dimension, or -1 if it is unknown.
int64_t known_dim(TF_ShapeInferenceContext* context, TF_ShapeHandle* shape, int64_t index);
// The rank of a shape, or -1 if it is unknown.
int64_t known_rank(TF_ShapeInferenceContext* context, TF_ShapeHandle* shape);

}  // namespace snn_toolbox

#endif  // SNN_TOOLBOX_TF_OPS_TENSORFLOW_GLUE_H_
