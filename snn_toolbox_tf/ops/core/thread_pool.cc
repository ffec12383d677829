#include "thread_pool.h"

#include <algorithm>

namespace snn_toolbox {

ThreadPool& ThreadPool::instance() {
  static ThreadPool* pool = new ThreadPool(0);
  return *pool;
}

void ThreadPool::set_threads(int threads) {
  if (threads <= 0) threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  std::lock_guard<std::mutex> busy(busy_);
  if (threads == this->threads()) return;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
  stop_ = false;
  threads_ = threads;
  for (int i = 1; i < threads; ++i) workers_.emplace_back(&ThreadPool::work, this);
}

void ThreadPool::run(int64_t count, const std::function<void(int64_t)>& task) {
  std::unique_lock<std::mutex> busy(busy_, std::try_to_lock);
  if (!busy.owns_lock() || workers_.empty() || count < 2) {
    for (int64_t index = 0; index < count; ++index) task(index);
    return;
  }
  {
    std::lock_guard<std::mutex> lock(mutex_);
    task_ = &task;
    count_ = count;
    next_ = 0;
    std::fegetenv(&environment_);
    ++generation_;
    open_ = true;
  }
  wake_.notify_all();
  drain();
  std::unique_lock<std::mutex> lock(mutex_);
  open_ = false;
  idle_.wait(lock, [this] { return active_ == 0; });
}

void ThreadPool::work() {
  uint64_t seen = 0;
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    wake_.wait(lock, [&] { return stop_ || (open_ && generation_ != seen); });
    if (stop_) return;
    seen = generation_;
    ++active_;
    const std::fenv_t environment = environment_;
    lock.unlock();
    std::fesetenv(&environment);
    drain();
    lock.lock();
    if (--active_ == 0) idle_.notify_one();
  }
}

void ThreadPool::drain() {
  for (int64_t index; (index = next_.fetch_add(1, std::memory_order_relaxed)) < count_;) (*task_)(index);
}

}  // namespace snn_toolbox
