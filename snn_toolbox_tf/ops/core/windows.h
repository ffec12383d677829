// How windows lie along an axis, without TensorFlow types.

#ifndef SNN_TOOLBOX_TF_OPS_CORE_WINDOWS_H_
#define SNN_TOOLBOX_TF_OPS_CORE_WINDOWS_H_

#include <cstdint>

namespace snn_toolbox {

struct Windows {
  int64_t padding = 0;  // in front
  int64_t output = 0;   // how many there are
};

// Lays windows that reach over so many inputs as TensorFlow does, with padding "same" or "valid".
inline Windows lay_windows(int64_t input, int64_t reach, int64_t stride, bool same) {
  Windows windows;
  if (same) {
    windows.output = (input + stride - 1) / stride;
    const int64_t missing = (windows.output - 1) * stride + reach - input;
    windows.padding = missing > 0 ? missing / 2 : 0;
  } else {
    windows.output = input < reach ? 0 : (input - reach) / stride + 1;
  }
  return windows;
}

}  // namespace snn_toolbox

#endif  // SNN_TOOLBOX_TF_OPS_CORE_WINDOWS_H_
