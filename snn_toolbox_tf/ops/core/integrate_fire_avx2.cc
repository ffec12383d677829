// For x86-64 with AVX2 (compiled with -mavx2).

#if defined(__x86_64__)
#define SNN_TOOLBOX_VECTOR_BYTES 32
#include "integrate_fire_vector.h"

void snn_toolbox::integrate_fire_avx2(const IntegrateFire& population, int64_t begin, int64_t end) {
  integrate_fire_vector(population, begin, end);
}
#endif
