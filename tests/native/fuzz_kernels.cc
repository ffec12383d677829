// Every variant of the kernels against the plain reference, on problems that are made of arbitrary bytes.
//
// A libFuzzer target (clang++ -fsanitize=fuzzer,address,undefined), or, with -DSTANDALONE, a program that makes up the bytes
// itself: `fuzz_kernels seconds [seed]`. Arrays are exactly as long as they must be, and not aligned, so that a sanitizer sees
// every step beside them.

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "neuron_models.h"
#include "spike_driven.h"
#include "thread_pool.h"
#include "variants.h"
#include "windows.h"

namespace {

using namespace snn_toolbox;

class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  // A number in [from, to].
  int64_t number(int64_t from, int64_t to) { return from + (next() * 256 + next()) % (to - from + 1); }
  bool flip() { return next() % 2 == 1; }
  float value() {
    static const float edges[] = {0.0f, -0.0f, 1.0f, -1.0f, 0.5f, std::numeric_limits<float>::infinity(),
                                  -std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN(),
                                  std::numeric_limits<float>::denorm_min(), -std::numeric_limits<float>::min() / 2,
                                  std::numeric_limits<float>::max(), -std::numeric_limits<float>::max()};
    const int64_t byte = next();
    if (byte < 24) return edges[byte / 2];
    return static_cast<float>(byte - 128) / 32.0f;
  }

 private:
  int64_t next() { return position_ < size_ ? data_[position_++] : static_cast<int64_t>(position_++ * 37 % 251); }
  const uint8_t* data_;
  size_t size_, position_ = 0;
};

// An array of exactly `size` elements that begins where no vector would like it to.
template <typename T>
class Array {
 public:
  explicit Array(int64_t size) : bytes_(new char[static_cast<size_t>(size) * sizeof(T) + sizeof(T)]), size_(size) {
    for (int64_t i = 0; i < size; ++i) data()[i] = T();
  }
  T* data() { return reinterpret_cast<T*>(bytes_.get()) + 1; }
  int64_t size() const { return size_; }
  void copy(Array& other) { std::memcpy(data(), other.data(), static_cast<size_t>(size_) * sizeof(T)); }
  void fill(Bytes& bytes) {
    for (int64_t i = 0; i < size_; ++i) data()[i] = static_cast<T>(bytes.value());
  }

 private:
  std::unique_ptr<char[]> bytes_;
  int64_t size_;
};

[[noreturn]] void fail(const char* variant, const std::string& what, int64_t at) {
  std::fprintf(stderr, "variant %s differs from the reference in %s at %lld\n", variant, what.c_str(),
               static_cast<long long>(at));
  std::abort();
}

template <typename T>
void compare(const char* variant, const char* what, Array<T>& actual, Array<T>& expected) {
  for (int64_t i = 0; i < expected.size(); ++i) {
    const T a = actual.data()[i], e = expected.data()[i];
    const bool both_nan = a != a && e != e;  // their payloads may differ
    if (!both_nan && std::memcmp(&a, &e, sizeof(T)) != 0) fail(variant, what, i);
  }
}

struct Outputs {
  explicit Outputs(const IntegrateFire& p)
      : v(p.neurons()), spikes(p.timesteps * p.neurons()), trace(p.timesteps * p.neurons()), counts(p.neurons()),
        block_counts(p.neurons()), bits(p.timesteps * p.samples * p.bytes_per_sample()) {
    for (int k = 0; k < p.number_of_hidden; ++k) hidden.emplace_back(new Array<float>(p.neurons()));
  }
  std::vector<std::unique_ptr<Array<float>>> hidden;
  Array<float> v, spikes, trace, counts;
  Array<int32_t> block_counts;
  Array<uint8_t> bits;
};

PerChannel per_channel(Bytes& bytes, const IntegrateFire& p, Array<float>& values) {
  PerChannel result;
  result.values = values.data();
  result.channels = values.size();
  result.inner = values.size() == 1 ? 1 : p.sample_size / values.size();
  for (int64_t i = 0; i < values.size(); ++i) values.data()[i] = 0.25f * static_cast<float>(bytes.number(1, 16));
  return result;
}

// Neurons that keep more than a membrane potential; parameters as native.py gives them.
void fill_hidden_neuron(Bytes& bytes, Neuron* neuron) {
  neuron->model = NeuronModel::kWithHiddenState;
  const float kept = 0.125f * static_cast<float>(bytes.number(0, 7));
  const float parameters[] = {bytes.flip() ? 1.0f : 0.9375f, bytes.flip() ? 1.0f : 0.96875f,
                              0.0625f * static_cast<float>(bytes.number(0, 2)), -0.25f * static_cast<float>(bytes.number(0, 2)),
                              static_cast<float>(bytes.number(0, 2)), kept, 1.0f - kept,
                              static_cast<float>(bytes.number(0, 3)), bytes.flip() ? 1.0f : 0.0f,
                              0.25f * static_cast<float>(bytes.number(0, 2)), 0.875f,
                              static_cast<float>(bytes.number(1, 4))};
  for (size_t i = 0; i < sizeof(parameters) / sizeof(float); ++i) neuron->parameters[i] = parameters[i];
}

void check_integrate_fire(Bytes& bytes) {
  IntegrateFire p;
  // Now and then so many neurons that threads share them.
  const int64_t channels = bytes.number(1, bytes.number(0, 9) == 0 ? 999 : 40);
  const int64_t inner = bytes.flip() ? bytes.number(1, 40) : 1;
  p.timesteps = bytes.number(1, 20);
  p.samples = bytes.number(0, 5);
  p.sample_size = channels * inner;
  p.neuron.reset = bytes.flip() ? Reset::kZero : Reset::kSubtract;
  p.neuron.signed_spikes = bytes.flip();
  if (!p.neuron.signed_spikes && bytes.flip()) fill_hidden_neuron(bytes, &p.neuron);
  p.number_of_hidden = hidden_of(p.neuron);
  std::vector<std::unique_ptr<Array<float>>> hidden;
  for (int k = 0; k < p.number_of_hidden; ++k) {
    hidden.emplace_back(new Array<float>(p.neurons()));
    for (int64_t i = 0; i < p.neurons(); ++i) hidden.back()->data()[i] = 0.5f * static_cast<float>(bytes.number(0, 3));
    p.hidden[k] = hidden.back()->data();
  }
  p.number_of_currents = static_cast<int>(bytes.number(1, IntegrateFire::kMaximalCurrents));
  Array<float> threshold(bytes.flip() ? channels : 1), v(p.neurons()), counts(p.neurons());
  p.threshold = per_channel(bytes, p, threshold);
  v.fill(bytes);
  p.membrane_potential = v.data();
  std::vector<std::unique_ptr<Array<float>>> currents, gains;
  for (int k = 0; k < p.number_of_currents; ++k) {
    Current& current = p.currents[k];
    current.stride = bytes.flip() ? 0 : p.neurons();
    currents.emplace_back(new Array<float>(current.stride ? p.timesteps * p.neurons() : p.neurons()));
    currents.back()->fill(bytes);
    current.values = currents.back()->data();
    gains.emplace_back(new Array<float>(bytes.flip() ? channels : 1));
    if (bytes.flip()) current.gain = per_channel(bytes, p, *gains.back());
  }
  for (int64_t i = 0; i < counts.size(); ++i) counts.data()[i] = static_cast<float>(bytes.number(0, 2));
  const bool with_counts = p.neuron.signed_spikes || bytes.flip(), with_spikes = bytes.flip(), with_trace = bytes.flip();
  const bool with_bits = !p.neuron.signed_spikes && !fires_bursts(p.neuron) && bytes.flip(), with_block_counts = bytes.flip();
  // As TensorFlow lets it: outputs in the place of inputs, spikes in that of a current.
  const bool in_place = bytes.flip();
  int overwritten = -1;
  for (int k = 0; k < p.number_of_currents; ++k) {
    if (in_place && p.currents[k].stride) overwritten = k;
  }

  std::unique_ptr<Outputs> expected;
  for (const Variant& variant : variants()) {
    std::unique_ptr<Outputs> outputs(new Outputs(p));
    p.final_membrane_potential = outputs->v.data();
    p.spikes = with_spikes ? outputs->spikes.data() : nullptr;
    p.trace = with_trace ? outputs->trace.data() : nullptr;
    p.bits = with_bits ? outputs->bits.data() : nullptr;
    p.block_counts = with_block_counts ? outputs->block_counts.data() : nullptr;
    p.counts = with_counts ? counts.data() : nullptr;
    p.final_counts = with_counts ? outputs->counts.data() : nullptr;
    for (int k = 0; k < p.number_of_hidden; ++k) {
      const size_t at = static_cast<size_t>(k);
      p.final_hidden[k] = outputs->hidden[at]->data();
      if (in_place) outputs->hidden[at]->copy(*hidden[at]);
      p.hidden[k] = in_place ? outputs->hidden[at]->data() : hidden[at]->data();
    }
    if (in_place) {
      outputs->v.copy(v);
      outputs->counts.copy(counts);
      p.membrane_potential = outputs->v.data();
      p.counts = with_counts ? outputs->counts.data() : nullptr;
    }
    if (overwritten >= 0 && with_spikes) {
      outputs->spikes.copy(*currents[static_cast<size_t>(overwritten)]);
      p.currents[overwritten].values = outputs->spikes.data();
    }
    run(p, variant.integrate_fire);
    if (expected) {
      compare(variant.name, "v", outputs->v, expected->v);
      compare(variant.name, "spikes", outputs->spikes, expected->spikes);
      compare(variant.name, "trace", outputs->trace, expected->trace);
      compare(variant.name, "counts", outputs->counts, expected->counts);
      compare(variant.name, "block counts", outputs->block_counts, expected->block_counts);
      compare(variant.name, "bits", outputs->bits, expected->bits);
      for (size_t k = 0; k < outputs->hidden.size(); ++k) {
        compare(variant.name, "hidden", *outputs->hidden[k], *expected->hidden[k]);
      }
    } else {
      expected = std::move(outputs);
    }
  }
}

WindowAxis axis(Bytes& bytes) {
  WindowAxis axis;
  axis.input = bytes.number(1, 9);
  axis.pool = bytes.number(1, axis.input);
  axis.stride = bytes.number(1, 4);
  const Windows windows = lay_windows(axis.input, axis.pool, axis.stride, bytes.flip());
  axis.padding = windows.padding;
  axis.output = windows.output;
  return axis;
}

void check_accumulate_max_pool(Bytes& bytes) {
  AccumulateMaxPool p;
  p.timesteps = bytes.number(1, 5);
  p.samples = bytes.number(1, 3);
  // Now and then more channels than are pooled at once.
  p.channels = bytes.number(0, 40) == 0 ? 600 : bytes.number(1, 20);
  p.rows = axis(bytes);
  p.columns = axis(bytes);
  const int64_t inputs = p.samples * p.rows.input * p.columns.input * p.channels;
  const int64_t outputs = p.samples * p.rows.output * p.columns.output * p.channels;
  Array<float> current(p.timesteps * inputs);
  Array<double> accumulated(inputs);
  for (int64_t i = 0; i < current.size(); ++i) current.data()[i] = static_cast<float>(bytes.number(-50, 50)) / 16.0f;
  for (int64_t i = 0; i < inputs; ++i) accumulated.data()[i] = static_cast<double>(bytes.number(-50, 50)) / 4.0;
  const bool in_place = bytes.flip();
  p.current = current.data();
  std::unique_ptr<Array<float>> expected_pooled;
  std::unique_ptr<Array<double>> expected_sums;
  for (const Variant& variant : variants()) {
    std::unique_ptr<Array<float>> pooled(new Array<float>(p.timesteps * outputs));
    std::unique_ptr<Array<double>> sums(new Array<double>(inputs));
    std::memcpy(sums->data(), accumulated.data(), static_cast<size_t>(inputs) * sizeof(double));
    p.accumulated = in_place ? sums->data() : accumulated.data();
    p.final_accumulated = sums->data();
    p.pooled = pooled->data();
    run(p, variant.accumulate_max_pool);
    if (expected_pooled) {
      compare(variant.name, "pooled", *pooled, *expected_pooled);
      compare(variant.name, "sums", *sums, *expected_sums);
    } else {
      expected_pooled = std::move(pooled);
      expected_sums = std::move(sums);
    }
  }
}

ConvolutionAxis convolution_axis(Bytes& bytes) {
  ConvolutionAxis axis;
  axis.input = bytes.number(1, 9);
  axis.window = bytes.number(1, 4);
  axis.stride = bytes.number(1, 3);
  axis.dilation = bytes.number(1, 2);
  // Zeros around the input, sometimes so many that windows see nothing else.
  const int64_t reach = (axis.window - 1) * axis.dilation + 1, behind = bytes.number(0, 4);
  axis.padding = bytes.number(0, 4);
  const int64_t length = axis.padding + axis.input + behind;
  if (length < reach) axis.padding += reach - length;
  axis.output = (axis.padding + axis.input + behind - reach) / axis.stride + 1;
  return axis;
}

// On a grid, so that sums are exact in any order.
void fill_grid(Bytes& bytes, Array<float>& values) {
  for (int64_t i = 0; i < values.size(); ++i) values.data()[i] = static_cast<float>(bytes.number(-50, 50)) / 16.0f;
}

// A convolution and its arrays; spikes are numbers or bits, and may have been moved.
struct Convolution {
  SpikeConvolution p;
  std::unique_ptr<Array<float>> spikes, kernel, bias;
  std::unique_ptr<Array<uint8_t>> bits;
  std::unique_ptr<Array<int32_t>> moved;

  Convolution(Bytes& bytes, const SpikeConvolution& shape) : p(shape) {
    p.source_size = p.sample_size();
    if (bytes.number(0, 3) == 0) {
      p.source_size = bytes.number(1, 200);
      moved.reset(new Array<int32_t>(p.sample_size()));
      for (int64_t i = 0; i < moved->size(); ++i) {
        moved->data()[i] = static_cast<int32_t>(bytes.number(-1, p.source_size - 1));
      }
      p.moved = moved->data();
    }
    const int64_t rate = bytes.number(0, 10);
    if (bytes.flip()) {
      bits.reset(new Array<uint8_t>(p.samples * p.bytes_per_sample()));
      for (int64_t i = 0; i < bits->size(); ++i) {
        for (int bit = 0; bit < 8; ++bit) {
          if (bytes.number(0, 9) < rate) bits->data()[i] = static_cast<uint8_t>(bits->data()[i] | 1u << bit);
        }
      }
      p.bits = bits->data();
    } else {
      spikes.reset(new Array<float>(p.samples * p.source_size));
      for (int64_t i = 0; i < spikes->size(); ++i) spikes->data()[i] = bytes.number(0, 9) < rate ? 1.0f : 0.0f;
      p.spikes = spikes->data();
    }
    if (p.outputs == 0) return;
    kernel.reset(new Array<float>(p.taps() * p.inputs / p.groups * p.outputs));
    bias.reset(new Array<float>(p.outputs));
    fill_grid(bytes, *kernel);
    fill_grid(bytes, *bias);
    p.kernel = kernel->data();
    p.bias = bytes.flip() ? bias->data() : nullptr;
  }
};

SpikeConvolution convolution_shape(Bytes& bytes) {
  SpikeConvolution p;
  p.samples = bytes.number(1, 5);
  p.groups = bytes.number(0, 2) ? 1 : bytes.number(2, 20);
  const int64_t each = p.groups == 1 ? 40 : 3;
  p.inputs = p.groups * bytes.number(1, each);
  // Now and then more outputs than stay in registers.
  p.outputs = p.groups * (bytes.number(0, 20) == 0 && p.groups == 1 ? 300 : bytes.number(1, each + 30));
  if (p.groups > 1 && bytes.flip()) p.inputs = p.outputs = p.groups;
  p.rows = convolution_axis(bytes);
  p.columns = convolution_axis(bytes);
  return p;
}

void check_spike_convolution(Bytes& bytes) {
  const Convolution convolution(bytes, convolution_shape(bytes));
  const SpikeConvolution& p = convolution.p;
  std::unique_ptr<Array<float>> expected;
  for (const Variant& variant : variants()) {
    std::unique_ptr<Array<float>> current(new Array<float>(p.samples * p.rows.output * p.row_size()));
    run(PreparedConvolution(p), variant.spike_convolution, current->data());
    if (expected) {
      compare(variant.name, "current", *current, *expected);
    } else {
      expected = std::move(current);
    }
  }
}

// A population whose currents are found from spikes, against one that is given them.
void check_spike_driven(Bytes& bytes) {
  IntegrateFire p;
  p.timesteps = bytes.number(1, 6);
  p.samples = bytes.number(1, 3);
  SpikeConvolution shape = convolution_shape(bytes);
  shape.samples = p.timesteps * p.samples;
  p.sample_size = shape.rows.output * shape.row_size();
  SpikeConvolution copy;
  copy.samples = shape.samples;
  copy.inputs = p.sample_size;
  copy.outputs = 0;
  Array<float> threshold(1), v(p.neurons());
  threshold.data()[0] = 1.0f;
  p.threshold.values = threshold.data();
  fill_grid(bytes, v);
  p.membrane_potential = v.data();
  p.number_of_currents = static_cast<int>(bytes.number(1, IntegrateFire::kMaximalCurrents));

  IntegrateFire given = p;
  std::vector<std::unique_ptr<Convolution>> convolutions;
  std::vector<std::unique_ptr<Array<float>>> currents;
  std::vector<std::unique_ptr<PreparedConvolution>> prepared;
  for (int k = 0; k < p.number_of_currents; ++k) {
    currents.emplace_back(new Array<float>(p.timesteps * p.neurons()));
    float* values = currents.back()->data();
    given.currents[k].values = values;
    given.currents[k].stride = p.neurons();
    const int64_t kind = bytes.number(0, 2);
    if (kind == 2) {
      // The same for all samples.
      currents.emplace_back(new Array<float>(p.timesteps * p.sample_size));
      fill_grid(bytes, *currents.back());
      for (int64_t i = 0; i < p.timesteps * p.neurons(); ++i) {
        values[i] = currents.back()->data()[i / p.neurons() * p.sample_size + i % p.sample_size];
      }
      p.currents[k].values = currents.back()->data();
      p.currents[k].stride = p.sample_size;
      p.currents[k].shared = true;
      continue;
    }
    convolutions.emplace_back(new Convolution(bytes, kind == 0 ? shape : copy));
    SpikeConvolution& convolution = convolutions.back()->p;
    if (kind == 1) convolution.outputs = p.sample_size;
    run(PreparedConvolution(convolution), kReference.spike_convolution, values);
    prepared.emplace_back(new PreparedConvolution(convolution));
    p.currents[k].synapse = prepared.back().get();
  }
  const bool with_spikes = bytes.flip(), with_bits = bytes.flip();
  const auto outputs_of = [&](IntegrateFire& population) {
    std::unique_ptr<Outputs> outputs(new Outputs(population));
    population.final_membrane_potential = outputs->v.data();
    population.spikes = with_spikes ? outputs->spikes.data() : nullptr;
    population.bits = with_bits ? outputs->bits.data() : nullptr;
    return outputs;
  };
  std::unique_ptr<Outputs> expected = outputs_of(given);
  run(given, kReference.integrate_fire);
  for (const Variant& variant : variants()) {
    std::unique_ptr<Outputs> outputs = outputs_of(p);
    run(p, variant.integrate_fire, variant.spike_convolution);
    compare(variant.name, "v", outputs->v, expected->v);
    compare(variant.name, "spikes", outputs->spikes, expected->spikes);
    compare(variant.name, "bits", outputs->bits, expected->bits);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Bytes bytes(data, size);
  ThreadPool::instance().set_threads(static_cast<int>(bytes.number(1, 3)));
  switch (bytes.number(0, 3)) {
    case 0: check_integrate_fire(bytes); break;
    case 1: check_accumulate_max_pool(bytes); break;
    case 2: check_spike_convolution(bytes); break;
    default: check_spike_driven(bytes);
  }
  return 0;
}

#ifdef STANDALONE
int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 60.0;
  std::mt19937 generator(argc > 2 ? static_cast<unsigned>(std::atoi(argv[2])) : 0u);
  const auto start = std::chrono::steady_clock::now();
  int64_t problems = 0;
  while (std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() < seconds) {
    std::vector<uint8_t> bytes(generator() % 4096);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(generator());
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
    ++problems;
  }
  std::printf("%lld problems, variants:", static_cast<long long>(problems));
  for (const Variant& variant : variants()) std::printf(" %s", variant.name);
  std::printf("\n");
  ThreadPool::instance().set_threads(1);
  return 0;
}
#endif
