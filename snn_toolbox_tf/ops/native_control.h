// What Python can ask of the native library, and set, apart from its ops.

#ifndef SNN_TOOLBOX_TF_OPS_NATIVE_CONTROL_H_
#define SNN_TOOLBOX_TF_OPS_NATIVE_CONTROL_H_

#include "core/variants.h"

namespace snn_toolbox {

const Variant& selected_variant();

}  // namespace snn_toolbox

#define SNN_TOOLBOX_EXPORT extern "C" __attribute__((visibility("default")))

// A digest of the sources that the library was built from, so that one left over from older sources is not used.
SNN_TOOLBOX_EXPORT const char* SnnToolboxSourceDigest();
// Threads of all ops, the caller's included; 0: one a processor. Returns what it became.
SNN_TOOLBOX_EXPORT int SnnToolboxSetThreads(int threads);
// Names of the kernel variants that this machine can run, the plain one first, the fastest last; null behind the last.
SNN_TOOLBOX_EXPORT const char* SnnToolboxVariant(int index);
// Makes the ops use a variant, by index; returns 0 if there is none.
SNN_TOOLBOX_EXPORT int SnnToolboxSelectVariant(int index);

#endif  // SNN_TOOLBOX_TF_OPS_NATIVE_CONTROL_H_
