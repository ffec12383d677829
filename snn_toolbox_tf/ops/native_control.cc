#include "native_control.h"

#include <atomic>

#include "core/thread_pool.h"

namespace snn_toolbox {
namespace {

std::atomic<const Variant*>& selected() {
  static std::atomic<const Variant*> variant{&variants().back()};
  return variant;
}

}  // namespace

const Variant& selected_variant() { return *selected(); }

}  // namespace snn_toolbox

using namespace snn_toolbox;

#ifndef SNN_TOOLBOX_SOURCE_DIGEST
#define SNN_TOOLBOX_SOURCE_DIGEST ""
#endif

const char* SnnToolboxSourceDigest() { return SNN_TOOLBOX_SOURCE_DIGEST; }

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
