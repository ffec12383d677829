// The inputs and outputs of `SnnToolbox>IntegrateFire`, and their shapes.

#ifndef SNN_TOOLBOX_TF_OPS_INTEGRATE_FIRE_SHAPES_H_
#define SNN_TOOLBOX_TF_OPS_INTEGRATE_FIRE_SHAPES_H_

#include "tensorflow_c_api.h"

namespace snn_toolbox {

// Behind the first current stand the others, and then as many gains. Where currents are found from spikes, hidden state is the
// last of the inputs, and of the outputs.
enum IntegrateFireInput { kMembranePotential, kThreshold, kCounts, kFirstCurrent };
enum IntegrateFireOutput { kFinalMembranePotential, kSpikes, kFinalCounts, kTrace, kFirstFinalHidden };

// TensorFlow's shape function: infers what it can, and refuses what cannot fit.
void infer_integrate_fire_shapes(TF_ShapeInferenceContext* context, TF_Status* status);
// The same where currents are found from spikes, whose shapes do not tell them.
void infer_spike_driven_shapes(TF_ShapeInferenceContext* context, TF_Status* status);

}  // namespace snn_toolbox

#endif  // SNN_TOOLBOX_TF_OPS_INTEGRATE_FIRE_SHAPES_H_
