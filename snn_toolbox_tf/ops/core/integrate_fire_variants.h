// The compiled variants of the kernel; which of them a machine can run is decided in integrate_fire.cc.

#ifndef SNN_TOOLBOX_TF_OPS_CORE_INTEGRATE_FIRE_VARIANTS_H_
#define SNN_TOOLBOX_TF_OPS_CORE_INTEGRATE_FIRE_VARIANTS_H_

#include "integrate_fire.h"

#if defined(__x86_64__)
#define SNN_TOOLBOX_X86 1
#endif

namespace snn_toolbox {

void integrate_fire_reference(const IntegrateFire& population, int64_t begin, int64_t end);
void integrate_fire_portable(const IntegrateFire& population, int64_t begin, int64_t end);
#ifdef SNN_TOOLBOX_X86
void integrate_fire_avx2(const IntegrateFire& population, int64_t begin, int64_t end);
void integrate_fire_avx512(const IntegrateFire& population, int64_t begin, int64_t end);
#endif

}  // namespace snn_toolbox

#endif  // SNN_TOOLBOX_TF_OPS_CORE_INTEGRATE_FIRE_VARIANTS_H_
