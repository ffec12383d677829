// How a population is spread over threads.

#include "integrate_fire.h"

#include <algorithm>
#include <functional>

#include "thread_pool.h"

namespace snn_toolbox {
namespace {

// Neurons x timesteps for which waking another thread pays.
constexpr int64_t kWorthAThread = 1 << 15;
// Chunks begin on whole tiles, cache lines and bytes of bits.
constexpr int64_t kAlignment = 64;

int64_t rounded_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

}  // namespace

void run(const IntegrateFire& population, IntegrateFireKernel kernel) {
  // Rows that chunks must not cross: samples if they end in bytes of bits, else there is one.
  const int64_t rows = population.bits ? population.samples : 1;
  const int64_t row = population.bits ? population.sample_size : population.neurons();
  if (rows == 0 || row == 0) return;
  const int64_t work = population.neurons() * population.timesteps;
  ThreadPool& pool = ThreadPool::instance();
  const int64_t wanted = work < kWorthAThread ? 1 : kTasksAThread * pool.threads();
  const int64_t chunk = std::max(kAlignment, rounded_up((rows * row + wanted - 1) / wanted, kAlignment));
  const int64_t chunks_a_row = (row + chunk - 1) / chunk;
  const auto task = [&](int64_t index) {
    const int64_t first = index / chunks_a_row * row, offset = index % chunks_a_row * chunk;
    kernel(population, first + offset, first + std::min(offset + chunk, row));
  };
  if (wanted == 1) {
    for (int64_t index = 0; index < rows * chunks_a_row; ++index) task(index);
  } else {
    pool.run(rows * chunks_a_row, std::cref(task));  // by reference: nothing is allocated
  }
}

}  // namespace snn_toolbox
