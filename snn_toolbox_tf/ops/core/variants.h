// The kernels, once for each instruction set.

#ifndef SNN_TOOLBOX_TF_OPS_CORE_VARIANTS_H_
#define SNN_TOOLBOX_TF_OPS_CORE_VARIANTS_H_

#include <vector>

#include "accumulate_max_pool.h"
#include "integrate_fire.h"
#include "spike_convolution.h"

#if defined(__x86_64__)
#define SNN_TOOLBOX_X86 1
#endif

namespace snn_toolbox {

struct Variant {
  const char* name;
  IntegrateFireKernel integrate_fire;
  AccumulateMaxPoolKernel accumulate_max_pool;
  SpikeConvolutionKernel spike_convolution;
};

// The variants that this machine can run, the plain reference first, the fastest last.
const std::vector<Variant>& variants();

extern const Variant kReference;
extern const Variant kPortable;
#ifdef SNN_TOOLBOX_X86
extern const Variant kAvx2;
extern const Variant kAvx512;
#endif

}  // namespace snn_toolbox

#endif  // SNN_TOOLBOX_TF_OPS_CORE_VARIANTS_H_
