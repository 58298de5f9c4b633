// Threads that live as long as a trainer, and the barrier between them.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace sfumato {

// Denormal numbers are flushed to zero on this thread while the object lives; the caller's mode comes back after.
// Dead units leave Adam moments that decay into denormals, which made a step 9 times slower.
class FlushDenormals {
 public:
  FlushDenormals();
  ~FlushDenormals();
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  uint64_t saved_;
};

// Where `count` threads meet. What one wrote before it, all may read after it.
class Barrier {
 public:
  explicit Barrier(int count) : count_(static_cast<uint32_t>(count)) {}
  void wait();

 private:
  uint32_t count_;
  std::atomic<uint32_t> arrived_{0}, passed_{0};
};

class Pool {
 public:
  explicit Pool(int threads);  // the calling thread is one of them
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int size() const { return size_; }
  // job(t) on every thread t = 0 ... size-1, the caller being 0; returns when all are done. Jobs must not throw.
  void run(const std::function<void(int)>& job);
  // To be called by all threads of a running job.
  void barrier() { barrier_.wait(); }

 private:
  void work(int t);

  int size_;
  const std::function<void(int)>* job_ = nullptr;
  Barrier barrier_;
  std::atomic<uint32_t> started_{0}, finished_{0};
  std::atomic<bool> closing_{false};
  std::vector<std::thread> threads_;
};

}  // namespace sfumato
