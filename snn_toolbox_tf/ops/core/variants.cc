#include "variants.h"

namespace snn_toolbox {
namespace {

std::vector<Variant> find_variants() {
  std::vector<Variant> found = {kReference, kPortable};
#ifdef SNN_TOOLBOX_X86
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2")) found.push_back(kAvx2);
  if (__builtin_cpu_supports("avx512f")) found.push_back(kAvx512);
#endif
  return found;
}

}  // namespace

const std::vector<Variant>& variants() {
  static const std::vector<Variant>* found = new std::vector<Variant>(find_variants());
  return *found;
}

}  // namespace snn_toolbox
