#include "native_control.h"

#include "core/thread_pool.h"

namespace snn_toolbox {
namespace {

std::atomic<IntegrateFireKernel>& selected() {
  static std::atomic<IntegrateFireKernel> kernel{integrate_fire_variants().back().kernel};
  return kernel;
}

}  // namespace

BufferStatistics& buffer_statistics() {
  static BufferStatistics statistics;
  return statistics;
}

IntegrateFireKernel selected_integrate_fire() { return selected(); }

}  // namespace snn_toolbox

using namespace snn_toolbox;

int SnnToolboxInterfaceVersion() { return 1; }

int SnnToolboxSetThreads(int threads) {
  ThreadPool::instance().set_threads(threads);
  return ThreadPool::instance().threads();
}

const char* SnnToolboxVariant(int index) {
  const auto& variants = integrate_fire_variants();
  return index >= 0 && index < static_cast<int>(variants.size()) ? variants[static_cast<size_t>(index)].name : nullptr;
}

int SnnToolboxSelectVariant(int index) {
  if (SnnToolboxVariant(index) == nullptr) return 0;
  selected() = integrate_fire_variants()[static_cast<size_t>(index)].kernel;
  return 1;
}

void SnnToolboxTakeBufferStatistics(int64_t statistics[4]) {
  BufferStatistics& taken = buffer_statistics();
  statistics[0] = taken.calls.exchange(0);
  statistics[1] = taken.current.exchange(0);
  statistics[2] = taken.membrane_potential.exchange(0);
  statistics[3] = taken.counts.exchange(0);
}
