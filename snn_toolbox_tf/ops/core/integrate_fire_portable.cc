// For every machine: 16 bytes are SSE2 on x86-64 and NEON on arm64.

#define SNN_TOOLBOX_VECTOR_BYTES 16
#include "integrate_fire_vector.h"

void snn_toolbox::integrate_fire_portable(const IntegrateFire& population, int64_t begin, int64_t end) {
  integrate_fire_vector(population, begin, end);
}
