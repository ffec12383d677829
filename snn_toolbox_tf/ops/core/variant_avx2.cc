// For x86-64 with AVX2 (compiled with -mavx2).

#if defined(__x86_64__)
#define SNN_TOOLBOX_VECTOR_BYTES 32
#include "accumulate_max_pool_loops.h"
#include "integrate_fire_vector.h"
#include "spike_convolution_vector.h"
#include "variants.h"

const snn_toolbox::Variant snn_toolbox::kAvx2 = {"avx2", integrate_fire_vector, accumulate_max_pool_loops,
    spike_convolution_vector};
#endif
