// Threads that live as long as a trainer, the barrier between them, and the lock before them.
#pragma once
#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
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

// Thrown out of a barrier at which somebody will not arrive any more.
struct Abandoned {};

// Where `count` threads meet. What one wrote before it, all may read after it.
class Barrier {
 public:
  explicit Barrier(int count) : count_(static_cast<uint32_t>(count)) {}
  void wait();     // throws Abandoned
  void abandon();  // all who wait, now or later, are sent away
  void reset();    // to be called when nobody is there

 private:
  uint32_t count_;
  std::atomic<uint32_t> arrived_{0}, passed_{0};
  std::atomic<bool> abandoned_{false};
};

// A mutex that notices a fork: whoever held it or waited for it does not exist in the child, where what he was changing
// stays half changed.
class Mutex {
 public:
  void lock();  // throws std::runtime_error in a process that was forked while the mutex was in use
  void unlock();

 private:
  std::mutex mutex_;
  std::atomic<uint64_t> users_{0};  // the process in the upper half, its callers inside or waiting in the lower
};

// Threads start with the first job, and anew in a process that was forked: they do not come along.
class Pool {
 public:
  explicit Pool(int threads) : size_(threads), barrier_(threads) {}  // the calling thread is one of them
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int size() const { return size_; }
  // job(t) on every thread t = 0 ... size-1, the caller being 0; returns when all are done. Where a job throws, the
  // others are released from the barrier and the first exception is thrown here. Throws std::system_error if the
  // system gives no more threads. Either way the pool can be used again.
  void run(const std::function<void(int)>& job);
  // To be called by all threads of a running job.
  void barrier() { barrier_.wait(); }

 private:
  void start();
  void stop();
  void work(int t, uint32_t seen);
  void perform(int t);

  int size_;
  const std::function<void(int)>* job_ = nullptr;
  Barrier barrier_;
  std::atomic<uint32_t> started_{0}, finished_{0};
  std::atomic<bool> closing_{false}, failed_{false};
  std::exception_ptr error_;  // written by the job that set failed_
  std::unique_ptr<std::vector<std::thread>> threads_;
  int process_ = 0;  // to which the threads belong
};

}  // namespace sfumato
