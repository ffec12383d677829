#include "native_control.h"

#include "core/thread_pool.h"

namespace snn_toolbox {
namespace {

std::atomic<const Variant*>& selected() {
  static std::atomic<const Variant*> variant{&variants().back()};
  return variant;
}

}  // namespace

BufferStatistics& buffer_statistics() {
  static BufferStatistics statistics;
  return statistics;
}

const Variant& selected_variant() { return *selected(); }

}  // namespace snn_toolbox

using namespace snn_toolbox;

int SnnToolboxInterfaceVersion() { return 1; }

int SnnToolboxSetThreads(int threads) {
  ThreadPool::instance().set_threads(threads);
  return ThreadPool::instance().threads();
}

const char* SnnToolboxVariant(int index) {
  const bool exists = index >= 0 && index < static_cast<int>(variants().size());
  return exists ? variants()[static_cast<size_t>(index)].name : nullptr;
}

int SnnToolboxSelectVariant(int index) {
  if (SnnToolboxVariant(index) == nullptr) return 0;
  selected() = &variants()[static_cast<size_t>(index)];
  return 1;
}

void SnnToolboxTakeBufferStatistics(int64_t statistics[4]) {
  BufferStatistics& taken = buffer_statistics();
  statistics[0] = taken.calls.exchange(0);
  statistics[1] = taken.current.exchange(0);
  statistics[2] = taken.membrane_potential.exchange(0);
  statistics[3] = taken.counts.exchange(0);
}
