#include "integrate_fire_shapes.h"

#include <string>

#include "tensorflow_glue.h"

namespace snn_toolbox {
namespace {

bool ok(TF_Status* status) { return TF_GetCode(status) == TF_OK; }

// The shape of spikes, if it follows from the inputs' shapes: the number of timesteps is not at hand here, so that it must
// be the first axis of `time`, a current's shape (the Python front knows the rest).
void infer_spikes(TF_ShapeInferenceContext* context, TF_ShapeHandle* current, TF_ShapeHandle* neurons,
                  TF_Status* status) {
  TF_DataType type = TF_FLOAT;
  TF_ShapeInferenceContext_GetAttrType(context, "spike_type", &type, status);
  if (!ok(status)) return;
  const int64_t rank = known_rank(context, neurons);
  if (type == TF_INT32) return TF_ShapeInferenceContextSetOutput(context, kSpikes, neurons, status);
  if (rank < 0 || known_rank(context, current) != rank + 1) return;
  ShapeHandle time, spikes;
  TF_ShapeInferenceContextSubshape(context, current, 0, 1, time.get(), status);
  if (!ok(status)) return;
  if (type == TF_FLOAT) {
    TF_ShapeInferenceContextConcatenateShapes(context, time.get(), neurons, spikes.get(), status);
  } else {
    int64_t size = 1;
    for (int64_t i = 1; i < rank; ++i) {
      const int64_t dim = known_dim(context, neurons, i);
      if (dim < 0) return;
      size *= dim;
    }
    ShapeHandle batch, front, bytes(TF_ShapeInferenceContextVectorFromSize(context, static_cast<size_t>(size + 7) / 8));
    TF_ShapeInferenceContextSubshape(context, neurons, 0, 1, batch.get(), status);
    if (!ok(status)) return;
    TF_ShapeInferenceContextConcatenateShapes(context, time.get(), batch.get(), front.get(), status);
    if (!ok(status)) return;
    TF_ShapeInferenceContextConcatenateShapes(context, front.get(), bytes.get(), spikes.get(), status);
  }
  if (ok(status)) TF_ShapeInferenceContextSetOutput(context, kSpikes, spikes.get(), status);
}

// Whether a current's shape, as far as it is known, fits the membrane potential's.
bool current_fits(TF_ShapeInferenceContext* context, TF_ShapeHandle* current, TF_ShapeHandle* neurons,
                  TF_Status* status) {
  const int64_t rank = known_rank(context, neurons), current_rank = known_rank(context, current);
  if (rank < 0 || current_rank < 0) return true;
  std::string message;
  if (rank < 1 || (current_rank != rank && current_rank != rank + 1)) {
    message = "Expected currents [timesteps, batch, ...] or [batch, ...] and `membrane_potential` [batch, ...]. "
              "Received: ranks " + std::to_string(current_rank) + " and " + std::to_string(rank);
  }
  for (int64_t i = 0; message.empty() && i < rank; ++i) {
    const int64_t expected = known_dim(context, neurons, i);
    const int64_t received = known_dim(context, current, current_rank - rank + i);
    if (expected >= 0 && received >= 0 && expected != received) {
      message = "A current and `membrane_potential` differ on axis " + std::to_string(i) +
                " of the membrane potential. Received: " + std::to_string(received) + " and " + std::to_string(expected);
    }
  }
  if (!message.empty()) TF_SetStatus(status, TF_INVALID_ARGUMENT, message.c_str());
  return message.empty();
}

}  // namespace

void infer_spike_driven_shapes(TF_ShapeInferenceContext* context, TF_Status* status) {
  ShapeHandle neurons, counts;
  TF_ShapeInferenceContextSetUnknownShape(context, status);
  TF_ShapeInferenceContextGetInput(context, kMembranePotential, neurons.get(), status);
  TF_ShapeInferenceContextGetInput(context, kCounts, counts.get(), status);
  if (!ok(status)) return;
  TF_ShapeInferenceContextSetOutput(context, kFinalMembranePotential, neurons.get(), status);
  TF_ShapeInferenceContextSetOutput(context, kFinalCounts, counts.get(), status);
}

void infer_integrate_fire_shapes(TF_ShapeInferenceContext* context, TF_Status* status) {
  infer_spike_driven_shapes(context, status);
  ShapeHandle neurons;
  if (ok(status)) TF_ShapeInferenceContextGetInput(context, kMembranePotential, neurons.get(), status);
  const int64_t count = (TF_ShapeInferenceContextNumInputs(context) - kFirstCurrent) / 2;
  for (int64_t k = 0; ok(status) && k < count; ++k) {
    ShapeHandle current;
    TF_ShapeInferenceContextGetInput(context, static_cast<int>(kFirstCurrent + k), current.get(), status);
    if (ok(status) && current_fits(context, current.get(), neurons.get(), status)) {
      infer_spikes(context, current.get(), neurons.get(), status);
    }
  }
}

}  // namespace snn_toolbox
