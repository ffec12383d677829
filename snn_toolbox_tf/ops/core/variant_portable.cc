// For every machine: 16 bytes are SSE2 on x86-64 and NEON on arm64.

#define SNN_TOOLBOX_VECTOR_BYTES 16
#include "accumulate_max_pool_loops.h"
#include "integrate_fire_vector.h"
#include "spike_convolution_vector.h"
#include "variants.h"

const snn_toolbox::Variant snn_toolbox::kPortable = {"portable", integrate_fire_vector, accumulate_max_pool_loops,
    spike_convolution_vector};
