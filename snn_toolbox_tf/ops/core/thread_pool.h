// Threads of our own: TensorFlow's C API lends none.

#ifndef SNN_TOOLBOX_TF_OPS_CORE_THREAD_POOL_H_
#define SNN_TOOLBOX_TF_OPS_CORE_THREAD_POOL_H_

#include <atomic>
#include <cfenv>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace snn_toolbox {

// Tasks that work is divided into for each thread, so that one that comes late has less to do.
constexpr int64_t kTasksAThread = 4;

class ThreadPool {
 public:
  // The pool of this process. It is never destroyed: its threads may outlive everything else.
  static ThreadPool& instance();

  explicit ThreadPool(int threads) { set_threads(threads); }
  ~ThreadPool() { set_threads(1); }
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // Threads that work on a task, the caller included.
  int threads() const { return threads_.load(std::memory_order_relaxed); }
  // Waits for a running task. 0 stands for as many threads as there are processors.
  void set_threads(int threads);

  // Calls task(0) ... task(count - 1), in any order, and returns when all are done. Workers take over the caller's
  // floating-point environment (TensorFlow flushes denormals in some of its threads). If the pool is busy, or its
  // workers are gone (after a fork), the caller does all the work.
  void run(int64_t count, const std::function<void(int64_t)>& task);

 private:
  void work();
  void drain();

  std::mutex busy_;  // held while a task runs
  std::mutex mutex_;
  std::condition_variable wake_, idle_;
  std::vector<std::thread> workers_;
  std::atomic<int> threads_{1};

  // The task that runs.
  const std::function<void(int64_t)>* task_ = nullptr;
  int64_t count_ = 0;
  std::atomic<int64_t> next_{0};
  std::fenv_t environment_;
  uint64_t generation_ = 0;
  bool open_ = false;
  bool stop_ = false;
  int active_ = 0;
};

}  // namespace snn_toolbox

#endif  // SNN_TOOLBOX_TF_OPS_CORE_THREAD_POOL_H_
