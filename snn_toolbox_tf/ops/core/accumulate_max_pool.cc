// How max pooling is spread over threads.

#include "accumulate_max_pool.h"

#include <functional>
#include <vector>

#include "thread_pool.h"

namespace snn_toolbox {

void run(const AccumulateMaxPool& pool, AccumulateMaxPoolKernel kernel) {
  const int64_t bands = pool.bands();
  const auto task = [&](int64_t index) {
    // Grows to what the largest pooling of this thread needs, and stays.
    thread_local std::vector<double> scratch;
    const size_t size = static_cast<size_t>(pool.scratch_size());
    if (scratch.size() < size) scratch.resize(size);
    kernel(pool, index / bands, index % bands, scratch.data());
  };
  ThreadPool::instance().run(pool.samples * bands, std::cref(task));
}

}  // namespace snn_toolbox
