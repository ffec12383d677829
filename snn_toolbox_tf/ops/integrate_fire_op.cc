// The integrate-fire-reset step as TensorFlow ops, see core/integrate_fire.h: `SnnToolbox>IntegrateFire` of given currents,
// and `SnnToolbox>SpikeDrivenIntegrateFire`, which finds currents from spikes as well, see core/spike_driven.h, and has
// neurons that keep more than a membrane potential.

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

#include "core/integrate_fire.h"
#include "core/neuron_models.h"
#include "core/spike_driven.h"
#include "integrate_fire_shapes.h"
#include "native_control.h"
#include "spike_synapse.h"
#include "tensorflow_glue.h"

namespace snn_toolbox {
namespace {

constexpr char kName[] = "SnnToolbox>IntegrateFire";
constexpr char kSpikeDrivenName[] = "SnnToolbox>SpikeDrivenIntegrateFire";

struct Attributes {
  int64_t timesteps = 1;
  int number_of_currents = 0, number_of_synapses = 0, number_of_hidden = 0;
  TF_DataType spikes_read[IntegrateFire::kMaximalCurrents] = {};
  int64_t geometries[IntegrateFire::kMaximalCurrents * kGeometrySize] = {};
  Neuron neuron;
  bool trace = false;
  TF_DataType spike_type = TF_FLOAT;
};

// Inputs as they came, checked.
struct Inputs {
  Input currents[IntegrateFire::kMaximalCurrents], gains[IntegrateFire::kMaximalCurrents];
  Input membrane_potential, threshold, counts;
  Input hidden[Neuron::kMaximalHidden];
  bool with_counts = false;
  std::vector<std::unique_ptr<PreparedConvolution>> synapses;
};

// Reads how many currents are given, and how many are found from spikes.
bool read_currents_attributes(TF_OpKernelConstruction* construction, bool spike_driven, Attributes* attributes,
                              Status* status) {
  int64_t currents = 0, synapses = 0, hidden = 0;
  TF_OpKernelConstruction_GetAttrInt64(construction, "number_of_currents", &currents, status->get());
  if (!status->ok()) return false;
  if (spike_driven) {
    TF_OpKernelConstruction_GetAttrInt64(construction, "number_of_synapses", &synapses, status->get());
    if (!status->ok()) return false;
    TF_OpKernelConstruction_GetAttrInt64(construction, "number_of_hidden", &hidden, status->get());
    if (!status->ok()) return false;
  }
  if (hidden != hidden_of(attributes->neuron)) {
    return status->fail("Neurons of these parameters keep " + std::to_string(hidden_of(attributes->neuron)) +
                        " numbers besides their membrane potential. Received: " + std::to_string(hidden));
  }
  if (currents + synapses < 1) return status->fail("Expected at least one current.");
  constexpr int kMost = IntegrateFire::kMaximalCurrents;
  if (currents + synapses > kMost) {
    return status->fail("Expected at most " + std::to_string(kMost) + " currents. Received: " +
                        std::to_string(currents + synapses));
  }
  attributes->number_of_currents = static_cast<int>(currents);
  attributes->number_of_synapses = static_cast<int>(synapses);
  attributes->number_of_hidden = static_cast<int>(hidden);
  if (!spike_driven) return true;
  int32_t types = 0, numbers = 0, unused = 0;
  TF_OpKernelConstruction_GetAttrSize(construction, "spikes_read", &types, &unused, status->get());
  if (!status->ok()) return false;
  TF_OpKernelConstruction_GetAttrSize(construction, "geometries", &numbers, &unused, status->get());
  if (!status->ok()) return false;
  if (types != synapses || numbers != synapses * kGeometrySize) {
    return status->fail("Expected spikes and a geometry for each of " + std::to_string(synapses) + " synapses.");
  }
  TF_OpKernelConstruction_GetAttrTypeList(construction, "spikes_read", attributes->spikes_read, types, status->get());
  if (!status->ok()) return false;
  TF_OpKernelConstruction_GetAttrInt64List(construction, "geometries", attributes->geometries, numbers, status->get());
  return status->ok();
}

bool read_attributes(TF_OpKernelConstruction* construction, Attributes* attributes, Status* status) {
  char model[64] = {}, reset[16] = {};
  int32_t parameters = 0, unused = 0;
  unsigned char signed_spikes = 0, trace = 0;
  TF_OpKernelConstruction_GetAttrInt64(construction, "timesteps", &attributes->timesteps, status->get());
  if (!status->ok()) return false;
  TF_OpKernelConstruction_GetAttrString(construction, "neuron", model, sizeof(model) - 1, status->get());
  if (!status->ok()) return false;
  if (!find_model(model, &attributes->neuron.model)) {
    return status->fail("This build of the op has no neuron model '" + std::string(model) + "'.");
  }
  TF_OpKernelConstruction_GetAttrSize(construction, "parameters", &parameters, &unused, status->get());
  if (!status->ok()) return false;
  if (parameters > Neuron::kMaximalParameters) {
    return status->fail("Expected at most " + std::to_string(Neuron::kMaximalParameters) +
                        " parameters of a neuron. Received: " + std::to_string(parameters));
  }
  TF_OpKernelConstruction_GetAttrFloatList(construction, "parameters", attributes->neuron.parameters, parameters,
                                           status->get());
  if (!status->ok()) return false;
  TF_OpKernelConstruction_GetAttrString(construction, "reset", reset, sizeof(reset) - 1, status->get());
  if (!status->ok()) return false;
  TF_OpKernelConstruction_GetAttrBool(construction, "signed_spikes", &signed_spikes, status->get());
  if (!status->ok()) return false;
  TF_OpKernelConstruction_GetAttrBool(construction, "trace", &trace, status->get());
  if (!status->ok()) return false;
  TF_OpKernelConstruction_GetAttrType(construction, "spike_type", &attributes->spike_type, status->get());
  if (!status->ok()) return false;
  attributes->neuron.reset = std::strcmp(reset, "zero") == 0 ? Reset::kZero : Reset::kSubtract;
  attributes->neuron.signed_spikes = signed_spikes != 0;
  attributes->trace = trace != 0;
  if (attributes->neuron.signed_spikes && attributes->spike_type == TF_UINT8) {
    return status->fail("Signed spikes do not fit into bits: `signed_spikes=True` needs `spike_type` float32 or int32.");
  }
  if (fires_bursts(attributes->neuron) && attributes->spike_type == TF_UINT8) {
    return status->fail("Several spikes in a timestep do not fit into bits: bursts need `spike_type` float32 or int32.");
  }
  return true;
}

template <bool kSpikeDriven>
void* create(TF_OpKernelConstruction* construction) {
  Status status;
  auto* attributes = new Attributes;
  if (!read_attributes(construction, attributes, &status) ||
      !read_currents_attributes(construction, kSpikeDriven, attributes, &status)) {
    TF_OpKernelConstruction_Failure(construction, status.get());
  }
  return attributes;
}

int first_hidden(const Attributes& attributes) {
  return kFirstCurrent + 2 * attributes.number_of_currents + 5 * attributes.number_of_synapses;
}

void destroy(void* attributes) { delete static_cast<Attributes*>(attributes); }

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

bool read_gain(TF_OpKernelContext* context, int index, int k, const Shape& neurons, Inputs* inputs,
               IntegrateFire* population, Status* status) {
  Input& gain = inputs->gains[k];
  if (!get_input(context, index, "gains", &gain, status)) return false;
  return absent(gain) || read_per_channel(gain, "gains", neurons, &population->currents[k].gain, status);
}

bool read_currents(TF_OpKernelContext* context, const Attributes& attributes, const Shape& neurons, const Shape& block,
                   Inputs* inputs, IntegrateFire* population, Status* status) {
  const int count = attributes.number_of_currents;
  population->number_of_currents = count + attributes.number_of_synapses;
  Shape shared = block;
  shared.dims[1] = 1;
  for (int k = 0; k < count; ++k) {
    Input& input = inputs->currents[k];
    Current& current = population->currents[k];
    if (!get_input(context, kFirstCurrent + k, "currents", &input, status)) return false;
    current.values = static_cast<const float*>(input.data);
    const bool constant = input.shape == neurons;
    current.shared = attributes.number_of_synapses && !constant && input.shape == shared;
    current.stride = constant ? 0 : current.shared ? neurons.size(1) : neurons.size();
    if (!constant && !current.shared && !(input.shape == block)) {
      return status->fail("Expected a current of shape " + block.text() + ", or " + neurons.text() +
                          " if it is constant, for `membrane_potential` of shape " + neurons.text() +
                          ". Received: current " + std::to_string(k) + " of shape " + input.shape.text());
    }
    if (!read_gain(context, kFirstCurrent + count + k, k, neurons, inputs, population, status)) return false;
  }
  return true;
}

// Behind currents and gains stand, for all synapses, their gains, kernels, biases, places of moved inputs, and spikes.
bool read_synapses(TF_OpKernelContext* context, const Attributes& attributes, const Shape& neurons, Inputs* inputs,
                   IntegrateFire* population, Status* status) {
  const int count = attributes.number_of_synapses, first = kFirstCurrent + 2 * attributes.number_of_currents;
  for (int j = 0; j < count; ++j) {
    const int k = attributes.number_of_currents + j;
    SynapseInputs synapse;
    SpikeConvolution convolution;
    synapse.bits = attributes.spikes_read[j] == TF_UINT8;
    const int64_t* geometry = attributes.geometries + j * kGeometrySize;
    const SynapseIndices indices = {first + 4 * count + j, first + count + j, first + 2 * count + j, first + 3 * count + j};
    if (!read_gain(context, first + j, k, neurons, inputs, population, status) ||
        !get_synapse(context, indices, &synapse, status) ||
        !describe_synapse(synapse, geometry, &convolution, status)) {
      return false;
    }
    if (convolution.samples != attributes.timesteps * neurons.dims[0] ||
        convolution.rows.output * convolution.row_size() != neurons.size(1)) {
      return status->fail("Expected spikes that give currents [" + std::to_string(attributes.timesteps) + " * " +
                          std::to_string(neurons.dims[0]) + ", ...] of " + std::to_string(neurons.size(1)) +
                          " neurons. Received: currents [" + std::to_string(convolution.samples) + ", ...] of " +
                          std::to_string(convolution.rows.output * convolution.row_size()));
    }
    inputs->synapses.push_back(std::make_unique<PreparedConvolution>(convolution));
    population->currents[k].synapse = inputs->synapses.back().get();
  }
  return true;
}

// Behind all that belongs to synapses.
bool read_hidden(TF_OpKernelContext* context, const Attributes& attributes, const Shape& neurons, Inputs* inputs,
                 IntegrateFire* population, Status* status) {
  population->number_of_hidden = attributes.number_of_hidden;
  for (int k = 0; k < attributes.number_of_hidden; ++k) {
    Input& input = inputs->hidden[k];
    if (!get_input(context, first_hidden(attributes) + k, "hidden", &input, status)) return false;
    if (!(input.shape == neurons)) {
      return status->fail("Expected `hidden` of shape " + neurons.text() + ". Received: " + input.shape.text());
    }
    population->hidden[k] = static_cast<const float*>(input.data);
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
  // Checked before TensorFlow is asked for memory: it aborts on a size that it cannot count.
  const int64_t most = std::numeric_limits<int64_t>::max() / 16;
  if (attributes.timesteps > most / std::max<int64_t>(neurons.size(), 1)) {
    return status->fail("Too many timesteps: " + std::to_string(attributes.timesteps) + " of " + neurons.text() +
                        " neurons do not fit into any memory.");
  }
  Shape block = neurons;
  block.prepend(attributes.timesteps);
  population->timesteps = attributes.timesteps;
  population->samples = neurons.dims[0];
  population->sample_size = neurons.size(1);
  population->membrane_potential = static_cast<const float*>(inputs->membrane_potential.data);
  population->neuron = attributes.neuron;
  if (!read_currents(context, attributes, neurons, block, inputs, population, status) ||
      !read_synapses(context, attributes, neurons, inputs, population, status) ||
      !read_hidden(context, attributes, neurons, inputs, population, status)) {
    return false;
  }
  if (!read_per_channel(inputs->threshold, "threshold", neurons, &population->threshold, status)) return false;
  inputs->with_counts = inputs->counts.shape == neurons;
  if (!inputs->with_counts && !absent(inputs->counts)) {
    return status->fail("Expected `counts` of shape " + neurons.text() + ", or [0] for none. Received: counts of shape " +
                        inputs->counts.shape.text());
  }
  if (attributes.neuron.signed_spikes && !inputs->with_counts) {
    return status->fail("`signed_spikes=True` needs `counts`, the net number of spikes before this block.");
  }
  return true;
}

bool allocate_spikes(TF_OpKernelContext* context, const Attributes& attributes, const Inputs& inputs,
                     IntegrateFire* population, Status* status) {
  Shape shape = inputs.membrane_potential.shape;
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
    for (int k = 0; k < attributes.number_of_currents; ++k) {
      if (population->currents[k].stride && !population->currents[k].shared) candidates[number_of_candidates++] = kFirstCurrent + k;
    }
    population->spikes = static_cast<float*>(
        get_output(context, kSpikes, shape, candidates, number_of_candidates, status));
  }
  return status->ok();
}

bool allocate_outputs(TF_OpKernelContext* context, const Attributes& attributes, const Inputs& inputs,
                      IntegrateFire* population, Status* status) {
  const Shape& neurons = inputs.membrane_potential.shape;
  const int membrane_potential = kMembranePotential, given_counts = kCounts;
  population->final_membrane_potential = static_cast<float*>(
      get_output(context, kFinalMembranePotential, neurons, &membrane_potential, 1, status));
  if (!status->ok()) return false;
  if (!allocate_spikes(context, attributes, inputs, population, status)) return false;
  auto* counts = static_cast<float*>(
      get_output(context, kFinalCounts, inputs.counts.shape, &given_counts, inputs.with_counts, status));
  if (!status->ok()) return false;
  if (inputs.with_counts) {
    population->counts = static_cast<const float*>(inputs.counts.data);
    population->final_counts = counts;
  }
  for (int k = 0; k < attributes.number_of_hidden; ++k) {
    const int given = first_hidden(attributes) + k;
    population->final_hidden[k] =
        static_cast<float*>(get_output(context, kFirstFinalHidden + k, neurons, &given, 1, status));
    if (!status->ok()) return false;
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
  const Variant& variant = selected_variant();
  if (attributes.number_of_synapses) {
    run(population, variant.integrate_fire, variant.spike_convolution);
  } else {
    run(population, variant.integrate_fire);
  }
  return true;
}

void compute(void* attributes, TF_OpKernelContext* context) {
  Status status;
  if (!compute_checked(*static_cast<Attributes*>(attributes), context, &status)) {
    TF_OpKernelContext_Failure(context, status.get());
  }
}

template <bool kSpikeDriven>
bool register_op() {
  Status status;
  const char* name = kSpikeDriven ? kSpikeDrivenName : kName;
  TF_OpDefinitionBuilder* op = TF_NewOpDefinitionBuilder(name);
  TF_OpDefinitionBuilderAddInput(op, "membrane_potential: float");
  TF_OpDefinitionBuilderAddInput(op, "threshold: float");
  TF_OpDefinitionBuilderAddInput(op, "counts: float");
  TF_OpDefinitionBuilderAddInput(op, "currents: number_of_currents * float");
  TF_OpDefinitionBuilderAddInput(op, "gains: number_of_currents * float");
  if (kSpikeDriven) {
    TF_OpDefinitionBuilderAddInput(op, "synapse_gains: number_of_synapses * float");
    TF_OpDefinitionBuilderAddInput(op, "kernels: number_of_synapses * float");
    TF_OpDefinitionBuilderAddInput(op, "biases: number_of_synapses * float");
    TF_OpDefinitionBuilderAddInput(op, "moved: number_of_synapses * int32");
    TF_OpDefinitionBuilderAddInput(op, "spikes_in: spikes_read");
    TF_OpDefinitionBuilderAddInput(op, "hidden: number_of_hidden * float");
    TF_OpDefinitionBuilderAddAttr(op, "number_of_synapses: int >= 0");
    TF_OpDefinitionBuilderAddAttr(op, "number_of_hidden: int >= 0");
    TF_OpDefinitionBuilderAddAttr(op, "spikes_read: list({float, uint8}) >= 0");
    TF_OpDefinitionBuilderAddAttr(op, "geometries: list(int) >= 0");
  }
  TF_OpDefinitionBuilderAddOutput(op, "final_membrane_potential: float");
  TF_OpDefinitionBuilderAddOutput(op, "spikes: spike_type");
  TF_OpDefinitionBuilderAddOutput(op, "final_counts: float");
  TF_OpDefinitionBuilderAddOutput(op, "membrane_potentials: float");
  if (kSpikeDriven) TF_OpDefinitionBuilderAddOutput(op, "final_hidden: number_of_hidden * float");
  TF_OpDefinitionBuilderAddAttr(op, kSpikeDriven ? "number_of_currents: int >= 0" : "number_of_currents: int >= 1");
  TF_OpDefinitionBuilderAddAttr(op, "timesteps: int >= 1");
  TF_OpDefinitionBuilderAddAttr(op, "neuron: string = 'integrate_and_fire'");
  TF_OpDefinitionBuilderAddAttr(op, "parameters: list(float) = []");
  TF_OpDefinitionBuilderAddAttr(op, "reset: {'subtract', 'zero'} = 'subtract'");
  TF_OpDefinitionBuilderAddAttr(op, "signed_spikes: bool = false");
  TF_OpDefinitionBuilderAddAttr(op, "spike_type: {float, uint8, int32} = DT_FLOAT");
  TF_OpDefinitionBuilderAddAttr(op, "trace: bool = false");
  TF_OpDefinitionBuilderSetShapeInferenceFunction(
      op, kSpikeDriven ? infer_spike_driven_shapes : infer_integrate_fire_shapes);
  TF_RegisterOpDefinition(op, status.get());
  if (!status.ok()) return false;
  TF_RegisterKernelBuilder(kSpikeDriven ? "SnnToolboxSpikeDrivenIntegrateFire" : "SnnToolboxIntegrateFire",
                           TF_NewKernelBuilder(name, "CPU", create<kSpikeDriven>, compute, destroy), status.get());
  return status.ok();
}

[[maybe_unused]] const bool registered = register_op<false>() && register_op<true>();

}  // namespace
}  // namespace snn_toolbox
