// What Python can ask of the native library, and set, apart from its ops.

#ifndef SNN_TOOLBOX_TF_OPS_NATIVE_CONTROL_H_
#define SNN_TOOLBOX_TF_OPS_NATIVE_CONTROL_H_

#include <atomic>
#include <cstdint>

#include "core/variants.h"

namespace snn_toolbox {

// How often IntegrateFire ran, and its input buffers became outputs.
struct BufferStatistics {
  std::atomic<int64_t> calls{0}, current{0}, membrane_potential{0}, counts{0};
};

BufferStatistics& buffer_statistics();
const Variant& selected_variant();

}  // namespace snn_toolbox

#define SNN_TOOLBOX_EXPORT extern "C" __attribute__((visibility("default")))

// Changes whenever the ops or these functions do, so that a library left over from older sources is not used.
SNN_TOOLBOX_EXPORT int SnnToolboxInterfaceVersion();
// Threads of all ops, the caller's included; 0: one a processor. Returns what it became.
SNN_TOOLBOX_EXPORT int SnnToolboxSetThreads(int threads);
// Names of the kernel variants that this machine can run, the plain one first, the fastest last; null behind the last.
SNN_TOOLBOX_EXPORT const char* SnnToolboxVariant(int index);
// Makes the ops use a variant, by index; returns 0 if there is none.
SNN_TOOLBOX_EXPORT int SnnToolboxSelectVariant(int index);
// Writes calls and forwarded buffers (current, membrane potential, counts) since the last time.
SNN_TOOLBOX_EXPORT void SnnToolboxTakeBufferStatistics(int64_t statistics[4]);

#endif  // SNN_TOOLBOX_TF_OPS_NATIVE_CONTROL_H_
