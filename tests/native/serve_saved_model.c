/* Runs a SavedModel as a model server does: through TensorFlow's C API, without Python and without this package.
 *
 * serve_saved_model FOLDER SHAPE INPUT INPUT_FILE OUTPUT OUTPUT_FILE BATCH...
 *
 * INPUT and OUTPUT are names of tensors ("serving_default_x:0"), SHAPE is that of one sample ("8,8,3"), files hold float32
 * numbers and nothing else. For each BATCH, all samples are run in batches of that size (the last may be smaller), and the
 * outputs are written to OUTPUT_FILE.BATCH.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"

#define MAXIMAL_RANK 8

static void fail(const char* what, const char* why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

static void check(const char* what, TF_Status* status) {
  if (TF_GetCode(status) != TF_OK) fail(what, TF_Message(status));
}

static TF_Output find_tensor(TF_Graph* graph, const char* name) {
  char operation[1024];
  snprintf(operation, sizeof operation, "%s", name);
  char* colon = strrchr(operation, ':');
  TF_Output found = {NULL, 0};
  if (colon != NULL) {
    *colon = '\0';
    found.index = atoi(colon + 1);
  }
  found.oper = TF_GraphOperationByName(graph, operation);
  if (found.oper == NULL) fail(name, "no such tensor in the graph");
  return found;
}

static float* read_numbers(const char* path, size_t* count) {
  FILE* file = fopen(path, "rb");
  if (file == NULL) fail(path, "cannot be read");
  fseek(file, 0, SEEK_END);
  *count = (size_t)ftell(file) / sizeof(float);
  rewind(file);
  float* numbers = malloc(*count * sizeof(float));
  if (fread(numbers, sizeof(float), *count, file) != *count) fail(path, "cannot be read");
  fclose(file);
  return numbers;
}

int main(int count, char** arguments) {
  if (count < 8) fail(arguments[0], "FOLDER SHAPE INPUT INPUT_FILE OUTPUT OUTPUT_FILE BATCH...");
  TF_Status* status = TF_NewStatus();
  TF_Graph* graph = TF_NewGraph();
  TF_SessionOptions* options = TF_NewSessionOptions();
  const char* tags[] = {"serve"};
  TF_Session* session = TF_LoadSessionFromSavedModel(options, NULL, arguments[1], tags, 1, graph, NULL, status);
  check("loading", status);

  int64_t shape[MAXIMAL_RANK];
  int rank = 1;
  size_t sample = 1;
  for (char* size = strtok(arguments[2], ","); size != NULL && rank < MAXIMAL_RANK; size = strtok(NULL, ",")) {
    shape[rank] = atoll(size);
    sample *= (size_t)shape[rank++];
  }
  TF_Output input = find_tensor(graph, arguments[3]), output = find_tensor(graph, arguments[5]);
  size_t numbers;
  float* data = read_numbers(arguments[4], &numbers);
  size_t samples = numbers / sample;

  for (int place = 7; place < count; ++place) {
    size_t batch = (size_t)atoll(arguments[place]);
    char path[4096];
    snprintf(path, sizeof path, "%s.%s", arguments[6], arguments[place]);
    FILE* file = fopen(path, "wb");
    if (file == NULL || batch == 0) fail(path, "cannot be written");
    for (size_t start = 0; start < samples; start += batch) {
      size_t taken = samples - start < batch ? samples - start : batch;
      shape[0] = (int64_t)taken;
      TF_Tensor* given = TF_AllocateTensor(TF_FLOAT, shape, rank, taken * sample * sizeof(float));
      memcpy(TF_TensorData(given), data + start * sample, taken * sample * sizeof(float));
      TF_Tensor* result = NULL;
      TF_SessionRun(session, NULL, &input, &given, 1, &output, &result, 1, NULL, 0, NULL, status);
      check("running", status);
      fwrite(TF_TensorData(result), 1, TF_TensorByteSize(result), file);
      TF_DeleteTensor(given);
      TF_DeleteTensor(result);
    }
    if (fclose(file) != 0) fail(path, "cannot be written");
  }
  free(data);
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  TF_DeleteSessionOptions(options);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  return 0;
}
