// `SnnToolbox>IntegrateFire`: the integrate-fire-reset step as a TensorFlow op. See core/integrate_fire.h for what it does.

#include <atomic>
#include <cstring>

#include "core/integrate_fire.h"
#include "core/thread_pool.h"
#include "native_control.h"
#include "tensorflow_glue.h"

namespace snn_toolbox {
namespace {

constexpr char kName[] = "SnnToolbox>IntegrateFire";
// Then the currents, and as many gains.
enum InputIndex { kMembranePotential, kThreshold, kCounts, kFirstCurrent };
enum OutputIndex { kFinalMembranePotential, kSpikes, kFinalCounts, kTrace };

struct Attributes {
  int64_t timesteps = 1;
  Reset reset = Reset::kSubtract;
  bool signed_spikes = false;
  bool trace = false;
  TF_DataType spike_type = TF_FLOAT;
};

// Inputs as they came, checked.
struct Inputs {
  int number_of_currents = 0;
  Input currents[IntegrateFire::kMaximalCurrents], gains[IntegrateFire::kMaximalCurrents];
  Input membrane_potential, threshold, counts;
  bool with_counts = false;
};

bool read_attributes(TF_OpKernelConstruction* construction, Attributes* attributes, Status* status) {
  char reset[16] = {};
  unsigned char signed_spikes = 0, trace = 0;
  TF_OpKernelConstruction_GetAttrInt64(construction, "timesteps", &attributes->timesteps, status->get());
  if (!status->ok()) return false;
  TF_OpKernelConstruction_GetAttrString(construction, "reset", reset, sizeof(reset) - 1, status->get());
  if (!status->ok()) return false;
  TF_OpKernelConstruction_GetAttrBool(construction, "signed_spikes", &signed_spikes, status->get());
  if (!status->ok()) return false;
  TF_OpKernelConstruction_GetAttrBool(construction, "trace", &trace, status->get());
  if (!status->ok()) return false;
  TF_OpKernelConstruction_GetAttrType(construction, "spike_type", &attributes->spike_type, status->get());
  if (!status->ok()) return false;
  attributes->reset = std::strcmp(reset, "zero") == 0 ? Reset::kZero : Reset::kSubtract;
  attributes->signed_spikes = signed_spikes != 0;
  attributes->trace = trace != 0;
  if (attributes->signed_spikes && attributes->spike_type == TF_UINT8) {
    return status->fail("Signed spikes do not fit into bits: `signed_spikes=True` needs `spike_type` float32 or int32.");
  }
  return true;
}

void* create(TF_OpKernelConstruction* construction) {
  Status status;
  auto* attributes = new Attributes;
  if (!read_attributes(construction, attributes, &status)) TF_OpKernelConstruction_Failure(construction, status.get());
  return attributes;
}

void destroy(void* attributes) { delete static_cast<Attributes*>(attributes); }

bool absent(const Input& input) { return input.shape.rank == 1 && input.shape.dims[0] == 0; }

// Broadcasts values as (outer, channels, inner): the axes on which they differ follow one another.
bool read_per_channel(const Input& input, const char* name, const Shape& neurons, PerChannel* per_channel,
                      Status* status) {
  const Shape& shape = input.shape;
  const int offset = neurons.rank - shape.rank;
  int first = shape.rank, last = -1;
  bool fits = offset >= 0;
  for (int i = 0; fits && i < shape.rank; ++i) {
    if (shape.dims[i] == 1) continue;
    fits = shape.dims[i] == neurons.dims[offset + i];
    if (first == shape.rank) first = i;
    last = i;
  }
  for (int i = first; fits && i < last; ++i) fits = shape.dims[i] == neurons.dims[offset + i];
  if (!fits) {
    return status->fail("Expected `" + std::string(name) + "` to have one value, or one per channel along one axis (or " +
                        "along neighbouring axes) of the membrane potential " + neurons.text() + ". Received: " + name +
                        " of shape " + shape.text());
  }
  per_channel->values = static_cast<const float*>(input.data);
  per_channel->channels = shape.size();
  per_channel->inner = last < 0 ? 1 : neurons.size(offset + last + 1);
  return true;
}

bool read_currents(TF_OpKernelContext* context, const Shape& neurons, const Shape& block, Inputs* inputs,
                   IntegrateFire* population, Status* status) {
  const int count = (TF_NumInputs(context) - kFirstCurrent) / 2;
  if (count > IntegrateFire::kMaximalCurrents) {
    return status->fail("Expected at most " + std::to_string(IntegrateFire::kMaximalCurrents) +
                        " currents. Received: " + std::to_string(count));
  }
  inputs->number_of_currents = population->number_of_currents = count;
  for (int k = 0; k < count; ++k) {
    Input &input = inputs->currents[k], &gain = inputs->gains[k];
    Current& current = population->currents[k];
    if (!get_input(context, kFirstCurrent + k, "currents", &input, status)) return false;
    if (!get_input(context, kFirstCurrent + count + k, "gains", &gain, status)) return false;
    current.values = static_cast<const float*>(input.data);
    current.constant = input.shape == neurons;
    if (!current.constant && !(input.shape == block)) {
      return status->fail("Expected a current of shape " + block.text() + ", or " + neurons.text() +
                          " if it is constant, for `membrane_potential` of shape " + neurons.text() +
                          ". Received: current " + std::to_string(k) + " of shape " + input.shape.text());
    }
    if (!absent(gain) && !read_per_channel(gain, "gains", neurons, &current.gain, status)) return false;
  }
  return true;
}

bool read_inputs(TF_OpKernelContext* context, const Attributes& attributes, Inputs* inputs, IntegrateFire* population,
                 Status* status) {
  if (!get_input(context, kMembranePotential, "membrane_potential", &inputs->membrane_potential, status) ||
      !get_input(context, kThreshold, "threshold", &inputs->threshold, status) ||
      !get_input(context, kCounts, "counts", &inputs->counts, status)) {
    return false;
  }
  const Shape& neurons = inputs->membrane_potential.shape;
  if (neurons.rank < 1) {
    return status->fail("Expected `membrane_potential` [batch, ...]. Received: a scalar");
  }
  Shape block = neurons;
  block.prepend(attributes.timesteps);
  population->timesteps = attributes.timesteps;
  population->samples = neurons.dims[0];
  population->sample_size = neurons.size(1);
  population->membrane_potential = static_cast<const float*>(inputs->membrane_potential.data);
  population->reset = attributes.reset;
  population->signed_spikes = attributes.signed_spikes;
  if (!read_currents(context, neurons, block, inputs, population, status)) return false;
  if (!read_per_channel(inputs->threshold, "threshold", neurons, &population->threshold, status)) return false;
  inputs->with_counts = inputs->counts.shape == neurons;
  if (!inputs->with_counts && !absent(inputs->counts)) {
    return status->fail("Expected `counts` of shape " + neurons.text() + ", or [0] for none. Received: counts of shape " +
                        inputs->counts.shape.text());
  }
  if (attributes.signed_spikes && !inputs->with_counts) {
    return status->fail("`signed_spikes=True` needs `counts`, the net number of spikes before this block.");
  }
  return true;
}

bool allocate_spikes(TF_OpKernelContext* context, const Attributes& attributes, const Inputs& inputs,
                     IntegrateFire* population, Status* status) {
  Shape shape = inputs.membrane_potential.shape;
  bool forwarded = false;
  if (attributes.spike_type == TF_INT32) {
    population->block_counts = static_cast<int32_t*>(allocate_output(context, kSpikes, TF_INT32, shape, status));
  } else if (attributes.spike_type == TF_UINT8) {
    shape.rank = 2;
    shape.dims[1] = population->bytes_per_sample();
    shape.prepend(attributes.timesteps);
    population->bits = static_cast<uint8_t*>(allocate_output(context, kSpikes, TF_UINT8, shape, status));
  } else {
    shape.prepend(attributes.timesteps);
    int candidates[IntegrateFire::kMaximalCurrents], number_of_candidates = 0;
    for (int k = 0; k < inputs.number_of_currents; ++k) {
      if (!population->currents[k].constant) candidates[number_of_candidates++] = kFirstCurrent + k;
    }
    population->spikes = static_cast<float*>(
        get_output(context, kSpikes, shape, candidates, number_of_candidates, &forwarded, status));
    buffer_statistics().current += forwarded;
  }
  return status->ok();
}

bool allocate_outputs(TF_OpKernelContext* context, const Attributes& attributes, const Inputs& inputs,
                      IntegrateFire* population, Status* status) {
  const Shape& neurons = inputs.membrane_potential.shape;
  const int membrane_potential = kMembranePotential, given_counts = kCounts;
  bool forwarded = false;
  population->final_membrane_potential = static_cast<float*>(
      get_output(context, kFinalMembranePotential, neurons, &membrane_potential, 1, &forwarded, status));
  if (!status->ok()) return false;
  buffer_statistics().membrane_potential += forwarded;
  if (!allocate_spikes(context, attributes, inputs, population, status)) return false;
  auto* counts = static_cast<float*>(
      get_output(context, kFinalCounts, inputs.counts.shape, &given_counts, inputs.with_counts, &forwarded, status));
  if (!status->ok()) return false;
  if (inputs.with_counts) {
    population->counts = static_cast<const float*>(inputs.counts.data);
    population->final_counts = counts;
    buffer_statistics().counts += forwarded;
  }
  Shape trace = inputs.counts.shape;
  trace.rank = 1;
  trace.dims[0] = 0;
  if (attributes.trace) {
    trace = neurons;
    trace.prepend(attributes.timesteps);
  }
  auto* traced = static_cast<float*>(allocate_output(context, kTrace, TF_FLOAT, trace, status));
  population->trace = attributes.trace ? traced : nullptr;
  return status->ok();
}

bool compute_checked(const Attributes& attributes, TF_OpKernelContext* context, Status* status) {
  Inputs inputs;
  IntegrateFire population;
  if (!read_inputs(context, attributes, &inputs, &population, status)) return false;
  if (!allocate_outputs(context, attributes, inputs, &population, status)) return false;
  ++buffer_statistics().calls;
  run(population, selected_variant().integrate_fire);
  return true;
}

void compute(void* attributes, TF_OpKernelContext* context) {
  Status status;
  if (!compute_checked(*static_cast<Attributes*>(attributes), context, &status)) {
    TF_OpKernelContext_Failure(context, status.get());
  }
}

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

void infer_shapes(TF_ShapeInferenceContext* context, TF_Status* status) {
  ShapeHandle neurons, counts;
  TF_ShapeInferenceContextSetUnknownShape(context, status);
  TF_ShapeInferenceContextGetInput(context, kMembranePotential, neurons.get(), status);
  TF_ShapeInferenceContextGetInput(context, kCounts, counts.get(), status);
  if (!ok(status)) return;
  TF_ShapeInferenceContextSetOutput(context, kFinalMembranePotential, neurons.get(), status);
  TF_ShapeInferenceContextSetOutput(context, kFinalCounts, counts.get(), status);
  const int64_t count = (TF_ShapeInferenceContextNumInputs(context) - kFirstCurrent) / 2;
  for (int64_t k = 0; ok(status) && k < count; ++k) {
    ShapeHandle current;
    TF_ShapeInferenceContextGetInput(context, static_cast<int>(kFirstCurrent + k), current.get(), status);
    if (ok(status) && current_fits(context, current.get(), neurons.get(), status)) {
      infer_spikes(context, current.get(), neurons.get(), status);
    }
  }
}

bool register_op() {
  Status status;
  TF_OpDefinitionBuilder* op = TF_NewOpDefinitionBuilder(kName);
  TF_OpDefinitionBuilderAddInput(op, "membrane_potential: float");
  TF_OpDefinitionBuilderAddInput(op, "threshold: float");
  TF_OpDefinitionBuilderAddInput(op, "counts: float");
  TF_OpDefinitionBuilderAddInput(op, "currents: number_of_currents * float");
  TF_OpDefinitionBuilderAddInput(op, "gains: number_of_currents * float");
  TF_OpDefinitionBuilderAddOutput(op, "final_membrane_potential: float");
  TF_OpDefinitionBuilderAddOutput(op, "spikes: spike_type");
  TF_OpDefinitionBuilderAddOutput(op, "final_counts: float");
  TF_OpDefinitionBuilderAddOutput(op, "membrane_potentials: float");
  TF_OpDefinitionBuilderAddAttr(op, "number_of_currents: int >= 1");
  TF_OpDefinitionBuilderAddAttr(op, "timesteps: int >= 1");
  TF_OpDefinitionBuilderAddAttr(op, "reset: {'subtract', 'zero'} = 'subtract'");
  TF_OpDefinitionBuilderAddAttr(op, "signed_spikes: bool = false");
  TF_OpDefinitionBuilderAddAttr(op, "spike_type: {float, uint8, int32} = DT_FLOAT");
  TF_OpDefinitionBuilderAddAttr(op, "trace: bool = false");
  TF_OpDefinitionBuilderSetShapeInferenceFunction(op, infer_shapes);
  TF_RegisterOpDefinition(op, status.get());
  if (!status.ok()) return false;
  TF_RegisterKernelBuilder("SnnToolboxIntegrateFire", TF_NewKernelBuilder(kName, "CPU", create, compute, destroy),
                           status.get());
  return status.ok();
}

[[maybe_unused]] const bool registered = register_op();

}  // namespace
}  // namespace snn_toolbox
