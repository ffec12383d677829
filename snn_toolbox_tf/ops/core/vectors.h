// Vectors of one width: define SNN_TOOLBOX_VECTOR_BYTES and include this. They are the compilers' own (GCC and Clang), so that
// one text serves every instruction set.

#ifndef SNN_TOOLBOX_TF_OPS_CORE_VECTORS_H_
#define SNN_TOOLBOX_TF_OPS_CORE_VECTORS_H_

#include <cstdint>

#include "integrate_fire.h"

namespace snn_toolbox {
// Each file that includes this is compiled for another instruction set: nothing in it may be shared between them.
namespace {

constexpr int kLanes = SNN_TOOLBOX_VECTOR_BYTES / 4;

typedef float FloatVector __attribute__((vector_size(SNN_TOOLBOX_VECTOR_BYTES)));
typedef int32_t IntVector __attribute__((vector_size(SNN_TOOLBOX_VECTOR_BYTES)));

template <typename Value, typename Element>
SNN_TOOLBOX_INLINE Value load(const Element* from) {
  Value value;
  __builtin_memcpy(&value, from, sizeof(value));
  return value;
}

template <typename Value, typename Element>
SNN_TOOLBOX_INLINE void store(Element* to, const Value& value) {
  __builtin_memcpy(to, &value, sizeof(value));
}

}  // namespace
}  // namespace snn_toolbox

#endif  // SNN_TOOLBOX_TF_OPS_CORE_VECTORS_H_
